"""The gallery: hundreds of photos, what is known of each, selecting, the next click, and masks marked as correct."""

import pytest
from playwright.sync_api import expect
from visitor import BESIDE_IT, ON_IT, Visitor


def test_only_photos_on_the_screen_ask_for_anything_and_others_do_when_they_come(many):
    many.page.wait_for_selector(".g-tile[data-key=k5] .g-mask:not([hidden])", state="attached")
    many.settle()
    first = many.asked("masks")
    assert first == many.asked("photos") and max(first) < 60
    assert many.asked("summaries") == set()
    many.tile(250).scroll_into_view_if_needed()
    many.page.wait_for_selector(".g-tile[data-key=k250] .g-photo[src]", state="attached")
    many.page.wait_for_selector(".g-tile[data-key=k250] .g-doubt span", state="attached")
    many.settle()
    assert len(many.asked("masks")) < 120


def test_whoever_leafs_through_photos_waits_for_the_last_alone_and_for_none_again(many):
    page = many.page
    page.wait_for_selector(".g-tile[data-key=k8] .g-photo[src]", state="attached")
    many.settle()
    page.evaluate("() => { reads.length = 0; window.gate = new Promise((resolve) => (window.release = resolve)); }")
    for _ in range(8):
        many.press("ArrowRight")
    assert page.evaluate("annotator.stage.preview === annotator.gallery.picture('k8') && annotator.stage.preview !== null")
    page.evaluate("release()")
    page.wait_for_function("annotator.stage.photo")
    many.settle()
    assert many.opened() == ["k1", "k8"]
    assert many.pictures() == ["k8"]
    many.press("ArrowLeft")
    page.wait_for_function("annotator.stage.photo")
    many.press("ArrowRight")
    page.wait_for_function("annotator.stage.photo")
    many.settle()
    assert many.opened() == ["k1", "k8", "k7", "k8"]
    assert many.pictures() == ["k8", "k7"]


def test_a_mark_asks_again_for_what_is_on_the_screen_only(many):
    many.page.evaluate("reads.length = 0")
    many.click(100, 100)
    many.page.wait_for_function("reads.some(({ keys }) => keys?.includes('k0'))")
    many.settle()
    assert 0 in many.asked("masks") and len(many.asked("masks")) < 60 and many.asked("summaries") == set()


def test_a_photo_wider_than_the_gallery_stays_within_it(many):
    many.page.set_viewport_size({"width": 1100, "height": 800})
    wide = {"key": "k300", "name": "wide", "size": [6000, 60], "marks": 0, "correct": False}
    many.page.evaluate("(images) => annotator.take({ state: { ...annotator.server, images } })", [wide])
    tiles = many.page.locator(".g-tiles.g-few")
    assert tiles.evaluate("(node) => node.scrollWidth <= node.clientWidth")


@pytest.mark.parametrize("number", [2, 20])
def test_on_a_laptop_two_photos_share_a_row(many, number):
    for across, down in ((256, 256), (400, 300), (600, 400)):
        image = {"name": "photo", "size": [across, down], "marks": 0, "correct": False}
        images = [{**image, "key": f"of{across}-{i}"} for i in range(number)]
        many.page.evaluate("(images) => annotator.take({ state: { ...annotator.server, images } })", images)
        for width in (1180, 1280, 1440):
            many.page.set_viewport_size({"width": width, "height": 720})
            first, second = (many.page.locator(f"[data-key=of{across}-{i}]").bounding_box() for i in (0, 1))
            assert first["y"] == second["y"] and first["width"] > 0.83 * first["height"] * across / down


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)], ids=str)
def test_messages_are_over_the_photo_and_leave_all_buttons_free(many, size):
    many.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    many.page.evaluate("annotator.notices.show('word '.repeat(50), { problem: true })")
    notice, stage = (many.page.locator(name).bounding_box() for name in (".g-notice", ".g-stage"))
    assert stage["x"] <= notice["x"] and notice["x"] + notice["width"] <= stage["x"] + stage["width"]
    assert stage["y"] <= notice["y"] and notice["y"] + notice["height"] <= stage["y"] + stage["height"]


@pytest.mark.parametrize("width", [1440, 1280, 1240, 1150, 1024, 390])
def test_what_is_chosen_of_the_photos_can_be_read(many, width):
    """Beside the field to find photos in, a small laptop read "All ph..." and "As ad..."."""
    many.page.set_viewport_size({"width": width, "height": 800})
    many.page.evaluate("document.querySelector('.g-unfold').click()")
    needed = """(node) => {
      const alone = node.cloneNode();
      alone.append(node.selectedOptions[0].cloneNode(true));
      alone.style.flex = "none";
      node.after(alone);
      const { width } = alone.getBoundingClientRect();
      alone.remove();
      return width;
    }"""
    for field in many.page.locator(".g-sift select").all():
        assert field.evaluate(needed) <= field.bounding_box()["width"]


def test_a_tile_tells_what_its_masks_cover_and_how_sure_they_are(many):
    tile = many.tile(8)
    assert tile.locator(".g-doubt").inner_text() == "89 % unsure"
    (bar,) = tile.locator(".g-shares i").all()
    assert bar.evaluate("(node) => [node.style.width, node.style.background]") == ["25%", "rgb(0, 153, 238)"]
    assert "\u2068cat\u2069 25 %" in tile.locator(".g-open").get_attribute("title")


def test_however_narrow_a_tile_is_it_tells_that_its_photo_is_marked(many):
    image = {"name": "2007_001225.jpg", "size": [100, 200], "marks": 1, "correct": False}
    images = [{**image, "key": f"k{i}"} for i in range(10, 19)]
    many.page.evaluate("(images) => annotator.take({ state: { ...annotator.server, images } })", images)
    expect(many.tile(11).locator(".g-doubt")).to_contain_text("89 %")
    caption, name = (many.tile(11).locator(part).bounding_box() for part in (".g-caption", ".g-name"))
    assert name["x"] - caption["x"] > 13  # the padding, and the sign


def test_it_is_told_in_how_many_photos_a_class_is_found_as_far_as_they_were_looked_at(many):
    told = many.page.locator(".g-found > span")
    seen = len(many.asked("masks"))
    assert told.text_content() == f"cat in {min(20, seen)} of {seen} photos looked at"
    many.order("help")
    many.settle()
    assert told.text_content() == "cat in 20 of 300 photos"
    assert told.get_attribute("title").startswith("cat in 20 of 300 photos\n")  # there may be no room for it
    many.page.get_by_role("button", name="Least sure: odd 293.jpg").click()
    many.page.wait_for_selector("[data-key=k7] [aria-current=true]")


@pytest.mark.parametrize(
    ("shares", "total", "words"),
    [
        ([0.2, 0.004, 0], 3, "cat in 1 of 3 photos, a trace in 1"),
        ([0.2, 0.3], 9, "cat in 2 of 2 photos looked at"),
        ([0.0005, 0], 2, "cat in none of 2 photos"),
        ([1], 1, "cat in 1 of 1 photo"),
    ],
)
def test_what_is_said_is_what_is_known(canvas, shares, total, words):
    seen = [{"shares": {"background": 1 - share, "cat": share}} for share in shares]
    assert canvas.evaluate("([seen, total]) => modules.module_found.finding('cat', seen, total).join('')", [seen, total]) == words


def test_several_photos_are_selected_and_taken_out_together(many):
    many.open(1, modifiers=["Control"])
    many.open(4, modifiers=["Shift"])
    many.open(3)  # as long as some are selected, a click selects
    assert many.page.evaluate("annotator.current") == "k0"
    assert many.page.locator(".g-number").inner_text() == "3 selected"
    many.page.get_by_role("button", name="Take out").click()
    (sent,) = many.sent("remove_images")
    assert sent["keys"] == ["k1", "k2", "k4"]
    many.settle()
    assert many.shown()[:3] == [0, 3, 5]
    assert "Undo (Z)" in many.page.locator(".g-notice").inner_text()
    assert many.page.locator(".g-picking").is_hidden()
    many.open(3)
    assert many.page.evaluate("annotator.current") == "k3"


def test_whoever_takes_a_photo_out_with_the_keyboard_goes_on_from_the_one_in_its_place(many):
    many.open(2, modifiers=["Control"])
    many.open(4, modifiers=["Control"])
    many.press("Delete")
    assert many.shown()[:4] == [0, 1, 3, 5]
    many.press("Tab", "Enter")  # on the button that takes that photo out
    assert [message["keys"] for message in many.sent("remove_images")] == [["k2", "k4"], ["k5"]]


def test_selected_photos_are_taken_out_by_a_key_wherever_the_focus_is_and_it_is_not_lost(many):
    many.page.get_by_role("button", name="Select photos").focus()
    many.press("Enter", "Enter")  # the second on the button that selects all
    assert many.page.locator(".g-number").inner_text() == "300 selected"
    many.page.get_by_role("button", name="Select nothing").press("Enter")
    expect(many.page.get_by_role("button", name="Select photos")).to_be_focused()
    many.press("Delete")
    many.open(2, modifiers=["Control"])
    many.page.locator(".g-ink").focus()
    many.press("Delete")
    assert [message["keys"] for message in many.sent("remove_images")] == [["k2"]]


@pytest.mark.parametrize(("number", "said"), [(1, 1), (5, 0)], ids=["marked", "unmarked"])
def test_who_takes_out_a_photo_with_marks_is_told_what_brings_it_back(many, number, said):
    many.tile(number).hover()
    many.tile(number).locator(".g-remove").click()
    many.page.wait_for_selector(f".g-tile[data-key=k{number}]", state="detached")
    many.settle()
    assert many.page.locator(".g-notice", has_text="taken out with its marks").count() == said


def test_a_photo_that_is_no_longer_shown_is_no_longer_selected(many):
    many.kind("Marked")
    many.open(1)
    many.open(1, modifiers=["Control"])
    many.open(2, modifiers=["Control"])
    many.page.evaluate(
        "annotator.take({ state: { ...annotator.server, images: "
        "annotator.server.images.map((image) => ({ ...image, marks: Number(image.key === 'k1') })) } })"
    )
    assert many.shown() == [1] and many.page.locator(".g-number").inner_text() == "1 selected"
    many.page.get_by_role("button", name="Take out").click()
    assert [message["keys"] for message in many.sent("remove_images")] == [["k1"]]


@pytest.mark.parametrize("size", [(1024, 768), (390, 844), (844, 390)], ids=str)
def test_a_finger_that_rests_on_a_photo_selects_it(many, size):
    many.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    touch = many.page.context.new_cdp_session(many.page)
    box = many.tile(2).bounding_box()
    place = {"x": box["x"] + 40, "y": box["y"] + 40}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
    many.page.wait_for_selector(".g-tile[data-key=k2].g-picked")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert many.page.locator(".g-number").inner_text() == "1 selected"
    many.page.get_by_role("button", name="Select nothing (Esc)").click()
    assert many.page.locator(".g-picked").count() == 0


def test_the_next_click_is_a_ring_in_the_least_sure_photo_that_is_never_in_the_way(many):
    ring = many.page.locator(".g-ring-here")
    assert ring.is_hidden()
    many.press("n")
    many.page.wait_for_selector(".g-ring-here:not([hidden])", state="attached")
    many.settle()
    assert many.page.evaluate("annotator.current") == "k7"
    assert "ring" in many.page.locator(".g-hint").inner_text()
    x, y = many.at(47, 100)
    box = ring.bounding_box()
    assert (box["x"], box["y"]) == pytest.approx((x, y), abs=1)
    many.page.mouse.wheel(0, -300)
    many.page.mouse.move(x, y)
    many.page.mouse.wheel(0, -300)
    many.page.wait_for_function("!annotator.stage.view.isFitted")
    many.page.wait_for_function(
        """() => {
          const ring = document.querySelector(".g-ring-here").getBoundingClientRect();
          const box = annotator.stage.ink.getBoundingClientRect();
          const [u, v] = annotator.stage.view.toStage(47, 100);
          return Math.hypot(ring.x - box.x - u, ring.y - box.y - v) < 1;
        }"""
    )
    many.press("n")
    many.page.wait_for_function("annotator.current === 'k8'")
    many.settle()
    many.click(48, 100)  # into the ring
    assert many.marks()[0]["point"] == pytest.approx([48, 100], abs=1)
    assert ring.is_hidden()
    many.press("n")
    many.page.wait_for_function("annotator.current === 'k7'")


def test_masks_are_marked_as_correct_and_a_chart_follows(many):
    assert many.page.locator(".g-agreement").is_hidden()
    many.press("c")
    many.page.wait_for_selector(".g-tile[data-key=k0].g-correct")
    many.page.wait_for_selector(".g-curve", state="attached")
    assert many.page.locator(".g-agreed").inner_text() == "100 % after 2 clicks"
    many.tile(1).hover()
    many.tile(1).get_by_role("button", name="are correct").click()
    many.tile(1).locator(".g-tick[aria-pressed=true]").wait_for()
    many.kind("Marked as correct")
    assert many.shown() == [0, 1]
    many.press("c")
    assert [(message["photo"], message["correct"]) for message in many.sent("mark_correct")] == [
        ("k0", True), ("k1", True), ("k0", False),
    ]  # fmt: skip


def test_masks_that_later_marks_changed_are_no_longer_shown_as_correct(many):
    many.press("c")
    tick = many.tile(0).locator(".g-tick")
    many.page.wait_for_function("annotator.gallery.known().some(({ summary }) => summary.kept === 1)")
    assert many.tile(0).get_attribute("class").split() == ["g-tile", "g-marked", "g-correct"]
    green = tick.evaluate("node => getComputedStyle(node).backgroundColor")
    many.page.evaluate("masks.changed = [0]")
    many.tile(1).hover()
    many.tile(1).locator(".g-tick").click()  # any change asks for all that is known anew
    many.page.wait_for_selector(".g-tile[data-key=k0].g-correct.g-changed")
    assert tick.evaluate("node => getComputedStyle(node).backgroundColor") != green
    assert "changed by later marks" in tick.get_attribute("title")
    assert "said to be correct, and changed since" in many.tile(0).locator(".g-open").get_attribute("aria-label")
    assert many.page.locator(".g-changed").count() == 1
    many.press("c")  # taken back
    many.page.wait_for_selector(".g-tile[data-key=k0]:not(.g-correct):not(.g-changed)")


def test_the_next_click_passes_over_correct_masks_but_not_over_those_that_changed_since(many):
    many.tile(7).hover()  # the least sure
    many.tile(7).locator(".g-tick").click()
    many.page.wait_for_selector(".g-tile[data-key=k7].g-correct")
    many.press("n")
    many.page.wait_for_function("annotator.current === 'k8'")
    many.page.evaluate("masks.changed = [7]")
    many.tile(9).hover()
    many.tile(9).locator(".g-tick").click()  # any change asks for all that is known anew
    many.page.wait_for_selector(".g-tile[data-key=k7].g-changed")
    many.press("n")
    many.page.wait_for_function("annotator.current === 'k7'")


def test_on_the_page_a_click_in_the_ring_is_followed_and_agreement_charted(page, server):
    visitor = Visitor(page, server)
    page.keyboard.press("n")
    page.wait_for_selector(".g-notice:has-text('Mark something first')")
    visitor.click(*ON_IT)
    visitor.click(*BESIDE_IT, button="right")
    page.keyboard.press("c")
    page.wait_for_selector(".g-curve")
    assert "after 2 clicks" in page.locator(".g-agreed").inner_text()
    assert all(text.endswith(" % unsure") for text in page.locator(".g-doubt").all_text_contents())
    page.keyboard.press("n")
    page.wait_for_selector(".g-ring-here:not([hidden])", state="attached")
    visitor.settle()
    opened = page.locator(".g-tile:has([aria-current=true])")
    assert "g-correct" not in opened.get_attribute("class")
    page.keyboard.press("z")  # the last thing done was to mark as correct
    page.wait_for_selector(".g-agreement", state="hidden")
    visitor.settle()
    assert page.locator(".g-correct").count() == 0


def test_buttons_of_tiles_say_which_photo_they_are_about(many):
    for number in (0, 7):
        name = many.page.evaluate(f"annotator.server.images[{number}].name")
        for label in (f"Select {name}", f"Take {name} out of the gallery", f"The masks of {name} are correct"):
            assert many.tile(number).get_by_role("button", name=label, exact=True).count() == 1


def test_what_the_keyboard_is_at_is_told_from_what_is_open(many):
    many.open(1)
    many.tile(1).locator(".g-open").focus()
    many.press("Shift+Tab", "Tab")  # so that the browser takes it for the keyboard's
    open_, other = (many.tile(number).locator(".g-open") for number in (1, 2))
    expect(open_).to_have_css("outline-style", "dashed")
    ring = open_.evaluate("(node) => getComputedStyle(node).boxShadow")
    other.focus()
    expect(other).to_have_css("outline-style", "dashed")
    expect(open_).to_have_css("outline-style", "none")
    assert other.evaluate("(node) => getComputedStyle(node).boxShadow") != ring
    expect(open_).to_have_css("box-shadow", ring)


def test_without_photos_there_is_no_next_click_and_with_one_no_next_photo(visitor):
    page = visitor.page
    after = visitor.button("Next photo (→)")
    expect(visitor.button("Next click")).to_be_enabled()
    for left in reversed(range(page.locator(".g-tile").count())):
        page.locator(".g-tile").first.hover()
        page.locator(".g-tile .g-remove").first.click()
        expect(page.locator(".g-tile")).to_have_count(left)
        expect(after).to_be_enabled(enabled=left > 1)
    for name in ("Next click", "Select photos"):
        expect(visitor.button(name)).to_be_disabled()
    page.keyboard.press("z")
    for name in ("Next click", "Select photos"):
        expect(visitor.button(name)).to_be_enabled()


def test_whoever_takes_out_all_photos_that_are_selected_is_left_at_the_page_and_not_at_a_button_that_does_nothing(visitor):
    page = visitor.page
    visitor.button("Select photos").click()
    visitor.button("All").click()
    page.keyboard.press("Delete")
    expect(page.locator(".g-tile")).to_have_count(0)
    expect(visitor.button("Select photos")).to_be_disabled()
    expect(page.locator(".g-ink")).to_be_focused()


def test_a_photo_whose_only_mark_is_erased_does_not_look_marked(visitor):
    visitor.click(*ON_IT)
    marked = visitor.page.locator(".g-tile.g-marked")
    assert marked.count() == 1
    visitor.page.keyboard.press("e")
    visitor.click(*ON_IT)
    assert marked.count() == 0
    visitor.page.keyboard.press("z")
    visitor.settle()
    assert marked.count() == 1


@pytest.mark.parametrize("width", [1440, 1280, 1024, 390])
def test_photos_stay_where_they_are_whatever_is_said_above_them(hand, width):
    hand.page.set_viewport_size({"width": width, "height": 800})
    tiles = hand.page.locator(".g-tiles")
    before = tiles.bounding_box()
    hand.page.evaluate(
        """() => {
          const { parts, check, name } = annotator.found;
          const said = ["a very long class n…", " in none of 5000 photos", ", a trace in 1000"];
          parts.forEach((part, i) => (part.textContent = said[i]));
          name.show("a name that is longer than there is room for.jpg");
          check.hidden = false;
        }"""
    )
    assert tiles.bounding_box() == before
    assert hand.page.locator(".g-found button").bounding_box()["width"] > 30


@pytest.mark.parametrize("width", [1440, 1000])
def test_the_buttons_for_the_photos_stay_under_the_pointer_whatever_the_names(many, width):
    many.page.set_viewport_size({"width": width, "height": 800})
    names = ["a.jpg", "a name that is longer than there is room for at all, as of some archives.jpg", *"bcdefghijk"]
    images = [{"key": f"k{i}", "name": name, "size": [400, 300], "marks": 0, "correct": False} for i, name in enumerate(names)]
    many.page.evaluate("(images) => annotator.take({ state: { ...annotator.server, images } })", images)
    buttons = [many.page.get_by_role("button", name=name) for name in ("Previous photo", "Next photo")]
    places = []
    for _ in names:
        places.append([button.bounding_box()["x"] for button in buttons])
        many.press("ArrowRight")
    assert places == [places[0]] * len(names)
