"""The row of classes: which is chosen, and that it is seen."""

import pytest


def test_a_new_name_that_is_refused_leaves_the_class_chosen(hand):
    hand.page.evaluate("annotator.channel.change = async () => ({ error: 'There is a class called dog already.' })")
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    hand.page.get_by_label("Name of the class").fill("dog")
    hand.press("Enter")
    hand.page.wait_for_selector(".g-problem")
    assert hand.page.locator(".g-active .g-label").inner_text() == "cat"


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


MANY = """() => {
  const names = ["background", ...[..."abcdefghijkl"].map((letter) => letter.repeat(9))];
  annotator.take({ state: { ...annotator.server, classes: names.map((name) => ({ name, color: "#0099ee" })) } });
}"""


def box(hand, selector):
    return hand.page.locator(selector).bounding_box()


def is_within(inner, outer):
    return outer["x"] <= inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_chosen_class_is_brought_into_view_and_nothing_is_squeezed(hand, width):
    hand.page.set_viewport_size({"width": width, "height": 800})
    hand.page.evaluate(MANY)
    for number in (9, 1, 0, 2):
        hand.press(str(number))
        assert is_within(box(hand, ".g-active"), box(hand, ".g-classes"))
    add = box(hand, ".g-add")
    assert add["width"] > box(hand, ".g-add span")["width"] + 20
    assert hand.page.evaluate("[scrollX, scrollY]") == [0, 0]


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
