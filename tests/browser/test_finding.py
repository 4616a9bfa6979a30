"""Photos are found, sorted and told apart by their names, and stay in their places while one works."""

import unicodedata

import pytest
from playwright.sync_api import expect


def test_photos_are_sorted_and_found(many):
    assert many.shown() == list(range(300))
    many.order("name")
    assert many.shown()[:3] == [298, 296, 294]  # even 2, even 4, even 6: by number, not by letter
    many.page.get_by_label("Find photos by name").fill("ODD 3")
    assert set(many.shown()) == {i for i in range(1, 300, 2) if "3" in str(300 - i)}
    assert many.page.locator(".g-count").inner_text() == f"{len(many.shown())} of 300"
    many.page.get_by_label("Find photos by name").fill("nothing")
    many.page.get_by_role("button", name="Show all").click()
    assert many.shown() == list(range(300))
    many.kind("Marked")
    assert many.shown() == [0, 1, 2]
    many.kind("With cat")
    assert many.shown() == list(range(20))
    many.kind("All photos")
    many.order("help")
    assert many.shown()[:4] == [7, 8, 9, 10] and many.asked("summaries") | many.asked("masks") == set(range(300))
    many.page.evaluate("reads.length = 0")
    many.page.get_by_label("Find photos by name").fill("290")  # a name is found at once, without looking at masks again
    assert many.shown() == [10] and many.asked("summaries") == set()


def test_a_class_that_goes_takes_the_choice_of_its_photos_with_it_but_neither_their_order_nor_what_was_looked_for(many):
    many.page.get_by_label("Find photos by name").fill("even")
    many.order("name")
    many.kind("With cat")
    many.page.evaluate("annotator.take({ state: { ...annotator.server, classes: annotator.server.classes.slice(0, 1) } })")
    assert many.shown() == list(range(298, -1, -2))
    assert many.page.get_by_label("Which photos are shown").input_value() == "all"


def test_a_class_that_is_renamed_keeps_the_choice_of_its_photos_also_while_their_masks_are_not_known(many):
    many.kind("With cat")
    assert many.shown() == list(range(20))
    many.page.evaluate("() => { window.gate = new Promise(() => {}); }")  # nothing is answered from here on
    rename = """() => {
      const classes = annotator.server.classes.map((item) => ({ ...item, name: item.name.replace("cat", "lynx") }));
      annotator.take({ state: { ...annotator.server, classes, images: [...annotator.server.images], revision: 2 } });
      return [annotator.gallery.order.length, annotator.gallery.sift.kind.value];
    }"""
    assert many.page.evaluate(rename) == [20, "class lynx"]


def test_the_kind_of_photos_is_no_class_that_its_end_names(many):
    many.kind("Marked as correct")
    rename = """(name) => {
      const classes = annotator.server.classes.map((item, i) => (i ? { ...item, name } : item));
      annotator.take({ state: { ...annotator.server, classes } });
      return annotator.gallery.sift.kind.value;
    }"""
    assert [many.page.evaluate(rename, name) for name in ("t", "lynx")] == ["correct", "correct"]


def test_a_name_is_found_whichever_way_its_accents_are_written(canvas):
    sift = "([name, text]) => modules.module_sift.sift([{ key: 'k', name }], { text, kind: 'all', order: 'added' }, () => null)"
    names = [unicodedata.normalize(form, "Zürich 1.JPG") for form in ("NFC", "NFD")]
    assert all(canvas.evaluate(sift, [name, text.lower()]) for name in names for text in names)


def test_the_place_of_the_open_photo_is_the_one_it_has_among_those_that_are_shown(many):
    place = many.page.locator(".g-place")
    expect(place).to_have_text("1 / 300")
    many.order("name")
    shown = many.shown()
    expect(place).to_have_text(f"{shown.index(0) + 1} / 300")
    many.press("ArrowLeft")
    expect(place).to_have_text(f"{shown.index(0)} / 300")
    many.page.get_by_label("Find photos by name").fill("odd 29")
    shown = many.shown()
    expect(place).to_have_text(f"– / {len(shown)}")
    many.page.evaluate("document.activeElement.blur()")
    many.press("ArrowLeft")
    expect(place).to_have_text(f"{len(shown)} / {len(shown)}")
    assert many.page.evaluate("annotator.current") == f"k{shown[-1]}"


def test_photos_of_one_name_are_told_apart_by_as_much_of_their_folders_as_it_takes(canvas):
    names = {
        "x/only.jpg": "only.jpg",
        "1.jpg": "1.jpg",
        "a/1.jpg": "a/1.jpg",
        "b/north/1.jpg": "b/north/1.jpg",
        "c/north/1.jpg": "c/north/1.jpg",
        "c/south/1.jpg": "south/1.jpg",
    }
    told = canvas.evaluate("(paths) => [...modules.module_names.toldApart([...paths, paths[0]])]", list(names))
    assert dict(told) == names


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [("IMG_0001.JPG", "IMG_", "0001.JPG"), ("lion.jpg", "lion.jpg", ""), ("a/north/1.tiff", "a/nor", "th/1.tiff")],
)
def test_the_end_of_a_name_is_kept_where_cameras_count_and_of_a_short_one_the_start(canvas, name, start, end):
    cut = """(name) => {
      const cut = new modules.module_names.Cut("");
      cut.show(name);
      return [cut.start.textContent, cut.end.textContent];
    }"""
    assert canvas.evaluate(cut, name) == [start, end]


TELL = "(said) => annotator.found.parts.forEach((part, i) => (part.textContent = said[i]))"
TRAPS = """(names) => {
  const image = { size: [400, 300], marks: 0, correct: false };
  annotator.take({ state: { ...annotator.server, images: names.map((name, i) => ({ ...image, key: `k${7 + i}`, name })) } });
}"""


@pytest.mark.parametrize("width", [1440, 1280, 1024, 390])
def test_the_end_of_a_name_that_is_cut_is_seen_everywhere_and_the_whole_where_a_pointer_rests(many, width):
    many.page.set_viewport_size({"width": width, "height": 800})
    path = "a very long name of a place/100RECNX/IMG_20240512_{}.JPG"
    many.page.evaluate(TRAPS, [*(path.format(f"143{i}00") for i in range(8)), "elsewhere/100RECNX/IMG_20240512_143000.JPG"])
    many.settle()
    told = "a very long name of a place/100RECNX/IMG_20240512_143000.JPG"
    for name in (".g-doubtful", ".g-current", "[data-key=k7] .g-name"):
        assert many.page.locator(name).text_content() == told
        if width <= 1100 and name == ".g-current":
            continue
        whole, start, end = (many.page.locator(name + part) for part in ("", " > :first-child", " > :last-child"))
        assert end.text_content() == "3000.JPG"
        outer, inner = whole.bounding_box(), end.bounding_box()
        assert outer["x"] <= inner["x"] + 0.5 and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 0.5
        assert start.evaluate("(node) => node.scrollWidth > node.clientWidth")
    assert many.page.locator(".g-current").get_attribute("title") == told
    assert many.page.locator(".g-found button").get_attribute("title").endswith(f"\n{told}")
    assert many.tile(8).locator(".g-name").text_content() == "IMG_20240512_143100.JPG"


@pytest.mark.parametrize("width", [1440, 1280, 1180])
def test_the_least_sure_photo_is_told_by_the_end_of_its_name_beside_any_number_of_photos(many, width):
    many.page.set_viewport_size({"width": width, "height": 800})
    many.page.evaluate(TRAPS, [f"photos of a place/IMG_{i:04}.JPG" for i in range(60)])
    many.settle()
    many.page.evaluate(TELL, ["lichen", " in 13 of 14 photos", " looked at, a trace in 3"])
    end = many.page.locator(".g-doubtful > :last-child")
    outer, inner = many.page.locator(".g-doubtful").bounding_box(), end.bounding_box()
    assert end.text_content().endswith(".JPG")
    assert outer["x"] <= inner["x"] + 0.5 and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 0.5


def test_a_short_name_of_the_least_sure_photo_leaves_the_room_to_what_was_found(many):
    many.page.set_viewport_size({"width": 1440, "height": 900})
    many.page.evaluate(TRAPS, [f"{i}/lion.jpg" for i in range(60)])
    many.settle()
    many.page.evaluate(TELL, ["cheetah", " in 3 of 5 photos", ", a trace in 1"])
    whole = "(nodes) => nodes.map((node) => node.scrollWidth <= node.clientWidth)"
    assert many.page.locator(".g-told > *, .g-doubtful").evaluate_all(whole) == [True] * 4


@pytest.mark.parametrize("width", [1440, 1280, 1180, 390])
def test_the_number_of_photos_is_read_as_a_whole_beside_names_of_any_length(many, width):
    many.page.set_viewport_size({"width": width, "height": 800})
    many.page.evaluate(TRAPS, [f"photos of a place/IMG_{i:04}.JPG" for i in range(60)])
    many.settle()
    many.page.evaluate(TELL, ["a very long class n…", " in 270 of 300 photos", ", a trace in 12"])
    number, line, lead = (many.page.locator(name) for name in (".g-number-of", ".g-told", ".g-lead"))
    inner, outer = number.bounding_box(), line.bounding_box()
    assert number.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    assert outer["x"] < inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 0.5
    expect(lead).to_be_visible()
    assert many.page.locator(".g-doubtful").bounding_box()["width"] > 50


def test_masks_that_are_seen_in_another_way_are_known_to_cover_what_they_did(many):
    many.order("help")
    many.settle()
    told = many.page.locator(".g-told")
    expect(told).to_have_text("cat in 20 of 300 photos")
    many.order("added")
    many.page.evaluate("reads.length = 0")
    many.press("v")
    many.page.wait_for_function("reads.some((message) => message.do === 'masks')")
    many.settle()
    expect(told).to_have_text("cat in 20 of 300 photos")
    many.press("s")  # which changes what they cover
    expect(told).to_contain_text("photos looked at")


def in_sight(many):
    inside = """() => {
      const boxes = ["[aria-current=true]", ".g-tiles"].map((name) => document.querySelector(name).getBoundingClientRect());
      const [tile, list] = boxes;
      return tile.left >= list.left - 1 && tile.right <= list.right + 1 && tile.top >= list.top && tile.bottom <= list.bottom;
    }"""
    many.page.wait_for_function(inside)


def test_the_open_photo_is_in_sight_when_a_window_is_turned_and_when_a_search_is_over(many):
    for _ in range(3):
        many.press("ArrowLeft")
    in_sight(many)
    for width, height in ((390, 844), (844, 390), (1440, 900), (1440, 500)):
        many.page.set_viewport_size({"width": width, "height": height})
        in_sight(many)
    many.page.set_viewport_size({"width": 1440, "height": 900})
    many.page.get_by_label("Find photos by name").fill("odd 29")
    many.page.get_by_label("Find photos by name").fill("")
    in_sight(many)


def test_the_word_for_doubt_goes_before_a_name_is_cut(many):
    many.page.evaluate(TRAPS, ["a.jpg", "IMG_0001.JPG", "IMG_20240512_1430.JPG"])
    for number, has_word in ((7, True), (8, False), (9, False)):
        tile = many.tile(number)
        tile.evaluate("(node) => (node.style.cssText = 'flex: none; width: 150px')")
        tile.locator(".g-doubt span").wait_for(state="attached")
        assert (tile.locator(".g-doubt span").bounding_box()["width"] > 30) == has_word
        assert tile.locator(".g-doubt").evaluate("(node) => parseFloat(getComputedStyle(node, '::before').width) > 5") != has_word
    is_whole = "(node) => node.scrollWidth <= node.clientWidth"
    assert [many.tile(i).locator(".g-name > :first-child").evaluate(is_whole) for i in (7, 8, 9)] == [True, True, False]


@pytest.mark.parametrize("width", [1440, 390])
def test_on_a_small_tile_a_name_of_a_usual_length_is_read_as_a_whole_in_place_of_the_doubt(many, width):
    many.page.set_viewport_size({"width": width, "height": 800})
    image = {"size": [100, 200], "marks": 1, "correct": False}
    images = [{**image, "key": f"k{400 + i}", "name": name} for i, name in enumerate(("cheetah2.jpg", "tower.jpg"))]
    many.page.evaluate("(images) => annotator.take({ state: { ...annotator.server, images } })", images)
    many.settle()
    is_whole = "(node) => node.scrollWidth <= node.clientWidth"
    for i in (400, 401):
        expect(many.tile(i).locator(".g-doubt")).to_contain_text("%")
        for part in (".g-name > :first-child", ".g-name", ".g-caption"):
            assert many.tile(i).locator(part).evaluate(is_whole)


def test_new_masks_sort_the_photos_again_the_one_at_work_first_but_not_under_the_hand(many):
    many.order("help")
    assert many.shown()[:3] == [7, 8, 9]
    many.open(8)
    many.page.evaluate("masks.sure.push(7)")
    many.page.keyboard.press("z")  # a change while the mouse is on the tiles
    assert many.shown()[:3] == [7, 8, 9]
    many.page.mouse.move(400, 300)
    many.page.evaluate("document.activeElement.blur()")
    assert many.shown()[:3] == [8, 9, 10] and many.shown()[-1] == 7
    many.press("ArrowRight")
    many.page.wait_for_selector("[data-key=k9] [aria-current=true]")
    assert many.shown()[:3] == [8, 9, 10]
    for _ in range(3):
        many.press("ArrowLeft")  # past the first is the last, far below
    assert many.page.locator(".g-tiles").evaluate("(list) => list.scrollTop") > 1000
    many.press("z")
    many.page.wait_for_function("annotator.gallery.order[0] === annotator.current")
    expect(many.page.locator("[aria-current=true]")).to_be_in_viewport()


def test_a_photo_that_is_worked_on_stays_where_it_is(many):
    many.kind("Not marked")
    shown = many.shown()
    many.open(4)
    many.click(100, 100)
    assert many.shown() == shown
    many.press("ArrowRight")
    assert many.page.evaluate("annotator.current") == "k5"
    assert 4 not in many.shown()
