"""The row of classes: which is chosen, and that it is seen."""

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize(("opener", "name"), [("Rename, recolour or remove this class", "fox"), ("Add class", "fox")])
def test_a_name_that_is_refused_leaves_the_class_chosen(hand, opener, name):
    hand.page.evaluate("annotator.channel.change = async () => ({ error: 'A class cannot be called so.' })")
    hand.page.get_by_role("button", name=opener).click()
    hand.page.get_by_label("Name of the class").fill(name)
    hand.press("Enter")
    hand.page.wait_for_selector(".g-problem")
    assert hand.page.locator(".g-active .g-label").inner_text() == "cat"


@pytest.mark.parametrize(
    ("opener", "leave", "chosen"),
    [("Add class", "Enter", "lion"), ("Add class", "Escape", "cat"), ("Rename, recolour or remove this class", "Enter", "lion")],
)
def test_whoever_has_named_a_class_goes_on_from_it_with_the_keyboard(hand, opener, leave, chosen):
    hand.page.evaluate("window.gates = { add_class: new Promise(() => {}), rename_class: new Promise(() => {}) }")
    hand.page.get_by_role("button", name=opener).click()
    hand.page.keyboard.type("lion")
    hand.press(leave)
    assert hand.page.evaluate("document.activeElement.dataset.name") == chosen


def give_the_name_of_another(hand, name):
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    hand.page.get_by_label("Name of the class").fill(name)
    hand.press("Enter")
    hand.page.wait_for_selector(".g-question[open]")


@pytest.mark.parametrize("leave", ["Escape", "Keep both"])
def test_a_class_is_merged_with_another_only_if_that_is_meant(hand, leave):
    give_the_name_of_another(hand, "dog")
    hand.press("z")  # nothing below the question hears keys
    hand.press(leave) if leave == "Escape" else hand.page.get_by_role("button", name=leave).click()
    hand.page.wait_for_selector(".g-question", state="hidden")
    assert hand.page.locator(".g-active .g-label").inner_text() == "cat"
    assert hand.log() == []


@pytest.mark.parametrize("into", ["dog", "background"])
def test_a_mark_made_before_a_class_is_merged_is_of_the_one_it_becomes(hand, into):
    hand.page.evaluate("() => { window.gates = { merge_class: new Promise((resolve) => (window.release = resolve)) }; }")
    give_the_name_of_another(hand, into)
    question = hand.page.locator(".g-question").inner_text()
    assert f"Merge “cat” into “{into}”?" in question and "3 marks move." in question
    hand.press("Enter")
    expect(hand.page.locator(".g-label")).to_have_text(["dog", "background"])
    expect(hand.page.locator(".g-active .g-label")).to_have_text(into)
    hand.click(100, 100)
    hand.page.evaluate("release()")
    hand.sent()
    merge, mark = hand.log()
    assert (merge["do"], merge["name"], merge["to"]) == ("merge_class", "cat", into)
    assert mark["marks"][0]["label"] == into


def test_a_mark_made_before_a_class_has_its_new_name_is_of_that_class(hand):
    hand.page.evaluate(
        """() => {
          const slow = new Promise((resolve) => (window.release = resolve));
          window.gates = { rename_class: slow, add_class: slow, mark: slow };
        }"""
    )
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    hand.page.get_by_label("Name of the class").fill("kitten")
    hand.press("Enter")
    hand.click(100, 100)
    hand.page.get_by_role("button", name="Add class").click()
    hand.page.get_by_label("Name of the class").fill("bird")
    hand.press("Enter")
    hand.click(150, 100)
    hand.page.evaluate("() => void annotator.refresh()")  # what another says of the classes meanwhile
    assert hand.page.locator(".g-label").all_inner_texts() == ["kitten", "dog", "bird", "background"]
    hand.page.evaluate("release()")
    hand.sent()
    done = [(message["do"], message.get("to") or message.get("name") or message["marks"][0]["label"]) for message in hand.log()]
    assert done == [("rename_class", "kitten"), ("mark", "kitten"), ("add_class", "bird"), ("mark", "bird")]


@pytest.mark.parametrize(
    ("name", "shown"), [("a" * 6, "a" * 6), ("a" * 7, "aaaaa…"), ("👩‍🌾" * 6, "👩‍🌾" * 6), ("👩‍🌾" * 7, "👩‍🌾" * 5 + "…")]
)
def test_a_long_name_is_cut_between_what_is_seen_as_one(canvas, name, shown):
    assert canvas.evaluate("(name) => modules.module_dom.short(name, 6)", name) == shown


MANY = """(length) => {
  const names = ["background", ...[..."abcdefghijkl"].map((letter) => letter.repeat(length ?? 9))];
  annotator.take({ state: { ...annotator.server, classes: names.map((name) => ({ name, color: "#0099ee" })) } });
}"""


def box(hand, selector):
    return hand.page.locator(selector).bounding_box()


def is_within(inner, outer):
    return outer["x"] <= inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"]


@pytest.mark.parametrize("width", [1280, 1100, 961, 780, 390])
@pytest.mark.parametrize("length", [9, 30])
def test_the_chosen_class_is_brought_into_view_and_nothing_is_squeezed(hand, width, length):
    hand.page.set_viewport_size({"width": width, "height": 800})
    hand.page.evaluate(MANY, length)
    for number in (9, 1, 0, 2):
        hand.press(str(number))
        chosen, kept, add, seen = (box(hand, selector) for selector in (".g-active", ".g-kept", ".g-add", ".g-classes"))
        assert is_within(kept, seen)
        assert is_within(chosen, kept if number == 0 else seen | {"width": kept["x"] - seen["x"]})
    word = box(hand, ".g-add span")
    is_seen = word["y"] < add["y"] + add["height"]
    assert is_seen == (width > 760) and (not is_seen or add["width"] > word["width"] + 20)
    assert hand.page.evaluate("[scrollX, scrollY]") == [0, 0]


def test_the_chosen_class_stays_in_view_when_a_window_is_made_narrower(hand):
    hand.page.set_viewport_size({"width": 1440, "height": 800})
    hand.page.evaluate(MANY)
    hand.press("5")
    for width in (780, 390):
        hand.page.set_viewport_size({"width": width, "height": 800})
        hand.page.wait_for_function(
            """() => {
              const [chip, kept] = [".g-active", ".g-kept"].map((name) => document.querySelector(name).getBoundingClientRect());
              return chip.left >= 0 && chip.right <= kept.left;
            }"""
        )


NAMES = """(names) => {
  const classes = ["background", ...names].map((name) => ({ name, color: "#0099ee" }));
  annotator.take({ state: { ...annotator.server, classes } });
}"""


@pytest.mark.parametrize("width", [1280, 961, 761, 390, 320])
@pytest.mark.parametrize("names", [["cat"], ["cat", "dog"], ["a name longer than there is room for"], ["cat"] * 12], ids=str)
def test_background_is_in_sight_whatever_the_classes_and_read_as_a_whole(hand, width, names):
    hand.page.set_viewport_size({"width": width, "height": 800})
    hand.page.evaluate(NAMES, [name + " " * i for i, name in enumerate(names)])
    for number in (1, len(names)):
        hand.page.evaluate("(number) => annotator.choose(annotator.named[number].name)", number)
        background = box(hand, "[data-name=background]")
        # A row that is scrolled to its start leaves up to a pixel of the chip's edge below what stays in sight.
        assert box(hand, ".g-active")["x"] + box(hand, ".g-active")["width"] <= background["x"] + 1
        assert is_within(background, box(hand, ".g-classes"))
        label = hand.page.locator("[data-name=background] .g-label")
        assert label.evaluate("(node) => node.scrollWidth <= node.clientWidth")
        assert is_within(box(hand, ".g-add"), box(hand, ".g-classes"))


def test_a_mouse_wheel_brings_classes_into_view_and_where_they_are_in_one_row_photos(hand):
    hand.page.set_viewport_size({"width": 700, "height": 900})
    hand.page.evaluate(MANY)
    hand.page.evaluate(
        """() => {
          const images = [..."kabcdefghij"].map((key) => ({ key, name: key, size: [400, 300], marks: 0 }));
          annotator.take({ state: { ...annotator.server, images } });
        }"""
    )
    for pane in (".g-classes", ".g-tiles"):
        hand.page.locator(pane).hover()
        for way in (1, -1):
            hand.page.mouse.wheel(0, 300 * way)
            hand.page.wait_for_function(f"document.querySelector('{pane}').scrollLeft {'> 250' if way > 0 else '=== 0'}")


@pytest.mark.parametrize("marks", [3, 0])
def test_whoever_removes_a_class_is_told_of_its_marks_wherever_they_are_and_how_to_have_them_back(hand, marks):
    hand.page.evaluate("(marks) => { annotator.channel.read = async () => ({ marks }); }", marks)
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    hand.page.get_by_role("button", name="Remove this class and its marks").click()
    hand.page.wait_for_function("log.some((message) => message.do === 'remove_class')")
    (removed,) = hand.sent("remove_class")
    assert removed["name"] == "cat"
    told = ["“cat” and its 3 marks were removed. Undo (Z) brings them back."] if marks else []
    expect(hand.page.locator(".g-notice p")).to_have_text(told)


def test_undo_that_brings_a_class_back_or_its_old_name_brings_back_that_it_is_chosen(hand):
    chosen = hand.page.locator(".g-active .g-label")
    hand.press("2")
    for names, expected in ((["cat"], "cat"), (["cat", "dog"], "dog"), (["cat", "fox"], "fox"), ([], "background")):
        hand.page.evaluate(NAMES, names)
        expect(chosen).to_have_text(expected)
    hand.page.evaluate(NAMES, ["cat"])
    hand.press("1")  # what is chosen since stays
    hand.page.evaluate(NAMES, ["cat", "fox"])
    expect(chosen).to_have_text("cat")


def test_whoever_goes_through_the_classes_with_the_keyboard_sees_each(hand):
    hand.page.set_viewport_size({"width": 390, "height": 800})
    hand.page.evaluate(MANY)
    hand.page.locator("[data-name=aaaaaaaaa]").focus()
    seen = []
    for _ in range(13):
        name = hand.page.evaluate("document.activeElement.dataset.name")
        if name:  # else it is the button that renames the chosen one
            seen.append(name)
            focused, kept = box(hand, ":focus"), box(hand, ".g-kept")
            assert is_within(focused, box(hand, ".g-classes") | ({"width": kept["x"] - box(hand, ".g-classes")["x"]}))
        hand.press("Tab")
    assert seen == [letter * 9 for letter in "abcdefghijkl"]
    assert hand.page.evaluate("document.activeElement.dataset.name") == "background"
    hand.press("Tab")
    assert hand.page.evaluate("document.activeElement.ariaLabel") == "Add class"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_ring_of_the_class_that_hears_keys_goes_around_all_of_it(hand, width):
    hand.page.set_viewport_size({"width": width, "height": 800})
    hand.page.evaluate("window.gates = { add_class: new Promise(() => {}) }")
    hand.page.get_by_role("button", name="Add class").click()
    hand.page.keyboard.type("lion")
    hand.press("Enter")
    expect(hand.page.locator(".g-chip:has(:focus)")).to_have_css("outline-style", "solid")
    expect(hand.page.locator(":focus")).to_have_css("outline-style", "none")
    hand.press("Tab")  # its other button has one of its own
    expect(hand.page.locator(".g-chip:has(:focus)")).to_have_css("outline-style", "none")
    expect(hand.page.locator(":focus")).to_have_css("outline-style", "solid")


def test_the_photo_stays_where_it_is_when_classes_need_a_bar_to_scroll_and_when_one_is_edited(hand):
    before = box(hand, ".g-stage")
    hand.page.evaluate(MANY)
    hand.page.add_style_tag(content=".g-chips { padding-bottom: 11px }")  # a bar, which this browser has none of
    assert box(hand, ".g-classes")["height"] > 50
    assert box(hand, ".g-stage") == before
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    assert box(hand, ".g-stage") == before


def test_the_form_of_a_class_fits_a_phone(hand):
    hand.page.set_viewport_size({"width": 390, "height": 844})
    hand.page.evaluate(MANY)
    hand.press("9")
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    for part in hand.page.locator(".g-form > *").all():
        assert is_within(part.bounding_box(), box(hand, ".g-classes"))


def test_add_class_is_seen_on_a_phone_held_sideways(hand):
    hand.page.set_viewport_size({"width": 844, "height": 390})
    assert is_within(box(hand, ".g-add"), box(hand, ".g-classes"))
    hand.page.get_by_role("button", name="View").click()
    assert hand.page.locator(".g-panel .g-scope").is_visible()  # where it is instead


def open_form(hand, opener, name):
    hand.page.get_by_role("button", name=opener).click()
    hand.page.get_by_label("Name of the class").fill(name)


@pytest.mark.parametrize(
    ("opener", "verb"), [("Add class", "add_class"), ("Rename, recolour or remove this class", "rename_class")]
)
def test_a_mark_made_while_a_name_is_written_is_of_the_class_of_that_name(hand, opener, verb):
    slow = "new Promise((resolve) => (window.release = resolve))"
    hand.page.evaluate(f"() => {{ window.gates = {{ {verb}: {slow} }}; }}")  # whose server forgets what it is asked for
    open_form(hand, opener, "lion")
    hand.click(100, 100)
    hand.page.evaluate("release()")
    (mark,) = hand.marks()
    assert [message["do"] for message in hand.log()] == [verb, "mark"]
    assert mark["label"] == "lion"
    expect(hand.page.locator(".g-form")).to_have_count(0)


def test_a_form_without_a_name_is_closed_by_a_press_elsewhere_but_not_by_one_within(hand):
    open_form(hand, "Add class", " ")
    hand.page.get_by_label("Name of the class").click()
    expect(hand.page.locator(".g-form")).to_have_count(1)
    hand.page.locator(".g-count").click()
    expect(hand.page.locator(".g-form")).to_have_count(0)
    assert hand.log() == []


def test_adding_a_class_that_is_there_chooses_it(hand):
    open_form(hand, "Add class", "dog")
    hand.press("Enter")
    expect(hand.page.locator(".g-active .g-label")).to_have_text("dog")
    assert hand.log() == [] and hand.page.locator(".g-notice").count() == 0


@pytest.mark.parametrize("after", ["undo", "mark"])
def test_what_undo_brings_back_is_said_until_something_else_is_done_and_of_its_key_where_there_are_keys(hand, after):
    notice = hand.page.locator(".g-notice p")
    if after == "mark":
        hand.page.context.new_cdp_session(hand.page).send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    hand.page.get_by_role("button", name="Remove this class and its marks").click()
    undo = "Undo (Z)" if after == "undo" else "Undo"
    expect(notice).to_have_text(f"“cat” and its 3 marks were removed. {undo} brings them back.")
    hand.press("v")
    hand.sent("look")
    expect(notice).to_have_count(1)
    hand.press("z") if after == "undo" else hand.click(100, 100)
    assert notice.count() == 0  # at once: after a while it leaves by itself


@pytest.mark.parametrize("width", [1280, 390])
def test_classes_fade_where_they_go_on_below_what_stays_in_sight_and_nowhere_else(hand, width):
    hand.page.set_viewport_size({"width": width, "height": 800})
    fade = "getComputedStyle(document.querySelector('.g-kept'), '::before').content"
    assert hand.page.evaluate(fade) == "none"
    hand.page.evaluate(MANY)
    hand.page.wait_for_function(f"{fade} !== 'none'")
    hand.page.locator(".g-classes").evaluate("(pane) => pane.scrollTo(9999, 0)")
    hand.page.wait_for_function(f"{fade} === 'none'")
