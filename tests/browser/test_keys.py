"""The keyboard: what each key does, and when it does nothing."""

import pytest
from hand import near
from playwright.sync_api import expect


def test_brackets_change_the_size_of_the_brush(hand):
    sizes = [hand.page.evaluate("annotator.brush")]
    for key in "]][[[[":
        hand.press(key)
        sizes.append(hand.page.evaluate("annotator.brush"))
    assert sizes[2] > sizes[1] > sizes[0] > sizes[6]


def test_a_point_can_be_placed_with_the_keyboard_alone(hand):
    hand.press("Enter", "ArrowRight", "ArrowRight", "ArrowDown", "Enter", "Shift+ArrowLeft", "Shift+Enter", "Escape")
    first, second = hand.marks()
    scale = hand.page.evaluate("annotator.stage.view.scale")
    assert first["label"] == "cat" and first["point"] == near(200 + 8 / scale, 150 + 4 / scale)
    assert second["label"] == "background" and second["point"] == near(200 - 24 / scale, 150 + 4 / scale)


@pytest.mark.parametrize("after", ["", "button"])
def test_space_moves_the_photo_instead_of_marking_it(hand, after):
    if after:
        hand.page.get_by_role("button", name="Zoom in").click()
    hand.page.mouse.move(*hand.at(200, 150))
    hand.page.mouse.wheel(0, -600)
    hand.page.wait_for_function("!annotator.stage.view.isFitted")
    x, scale = hand.page.evaluate("[annotator.stage.view.x, annotator.stage.view.scale]")
    hand.page.keyboard.down(" ")
    hand.drag((200, 150), (190, 150))
    hand.page.keyboard.up(" ")
    assert hand.page.evaluate("annotator.stage.view.x") < x - 10
    assert hand.page.evaluate("annotator.stage.view.scale") == scale
    assert hand.marks() == []


def test_a_space_bar_that_is_let_go_in_another_window_no_longer_moves_the_photo(hand):
    hand.click(50, 50)
    hand.page.keyboard.down(" ")
    hand.page.evaluate("document.activeElement.blur()")  # as when another window comes to the front, which hears of the rest
    hand.click(200, 150)
    assert len(hand.marks()) == 2


def test_space_presses_the_button_that_the_keyboard_has_chosen(hand):
    hand.page.mouse.move(*hand.at(200, 150))
    hand.press("Shift+Tab", " ")  # from the photo back to the last of the tools
    hand.page.wait_for_selector(".g-help[open]")


def test_a_button_that_cannot_be_pressed_any_more_leaves_the_focus_to_the_photo(hand):
    undo = hand.page.get_by_role("button", name="Undo")
    undo.focus()
    hand.page.evaluate("annotator.take({ state: { ...annotator.server, undo: false } })")
    expect(undo).to_be_disabled()
    expect(hand.page.locator(".g-ink")).to_be_focused()


def test_keys_do_nothing_behind_the_help(hand):
    hand.press("h", "c", "z", "2", "h", "z")
    assert hand.sent("mark_correct") == [] and len(hand.sent("undo")) == 1
    assert hand.page.locator(".g-active .g-label").inner_text() == "cat"


def test_undo_and_redo_have_keys_and_typing_has_none(hand):
    hand.press("z", "Shift+Z", "Control+z", "Control+y")
    assert len(hand.sent("undo")) == 2 and len(hand.sent("redo")) == 2
    hand.page.get_by_role("button", name="Add class").click()
    hand.page.keyboard.type("zebra 1")
    hand.press("Enter")
    (added,) = hand.sent("add_class")
    assert added["name"] == "zebra 1"
    assert len(hand.sent("undo")) == 2


def test_keys_count_as_what_they_are_elsewhere_where_they_write_no_latin_letter_or_digit(hand):
    press = """([key, code, shiftKey]) =>
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, code, shiftKey, bubbles: true }))"""
    for key, code in (("и", "KeyB"), ("é", "Digit2"), ("я", "KeyZ"), ("Я", "KeyZ"), ("!", "Digit1")):
        hand.page.evaluate(press, [key, code, key in "Я!"])
    assert hand.page.locator(".g-active .g-label").inner_text() == "dog"
    assert hand.page.evaluate("annotator.tool") == "brush"
    assert len(hand.sent("undo")) == len(hand.sent("redo")) == 1


def test_with_the_keyboard_the_eraser_erases_and_the_brush_covers_what_it_is_seen_to(hand):
    hand.press("e", "Enter", "Enter", "b", "Enter", "Shift+Enter")
    erased, painted, refused = hand.marks()
    scale = hand.page.evaluate("annotator.stage.view.scale")
    assert [mark["label"] for mark in (erased, painted, refused)] == [None, "cat", "background"]
    for mark in (erased, painted, refused):
        assert mark["stroke"] == [near(200, 150)] and mark["radius"] == pytest.approx(12 / scale)


@pytest.mark.parametrize("cursor", ["pointer", "keyboard"])
def test_keys_zoom_to_the_cursor(hand, cursor):
    hand.page.mouse.move(*hand.at(100, 60))
    hand.page.mouse.wheel(0, -600)  # smaller than the stage, a photo is in its middle however it is zoomed
    hand.page.wait_for_function("!annotator.stage.view.isFitted")
    if cursor == "keyboard":
        hand.press("Enter", *["Shift+ArrowLeft"] * 3)
    left, top, width, height = hand.page.locator(".g-ink").bounding_box().values()
    x, y = hand.at(100, 60) if cursor == "pointer" else (left + width / 2 - 96, top + height / 2)
    below = f"annotator.stage.view.toImage({x - left}, {y - top})"
    before = hand.page.evaluate(below)
    hand.press("+", "+", "-")
    assert hand.page.evaluate(below) == near(*before)


def test_undo_takes_back_the_last_corner_of_an_outline_and_what_was_marked_before_it_stays(hand):
    hand.press("l")
    corners = [(100, 80), (200, 80), (200, 200), (300, 250)]
    for corner in corners:
        hand.click(*corner)
    hand.press("z")
    hand.click(100, 200)
    hand.press("Enter")
    (mark,) = hand.marks()
    assert mark["stroke"] == [near(*corner) for corner in (*corners[:3], (100, 200))]
    hand.click(50, 50)
    hand.press("z")  # the only corner
    assert hand.page.evaluate("annotator.stage.gestures.draft") is None and hand.sent("undo") == []
    hand.press("z")
    assert len(hand.sent("undo")) == 1


def test_arrows_go_from_class_to_class_where_the_keyboard_is_on_one_and_else_from_photo_to_photo(hand):
    hand.page.evaluate(
        """() => {
          const images = ["k", "b"].map((key) => ({ key, name: key, size: [400, 300], marks: 0 }));
          annotator.take({ state: { ...annotator.server, images } });
        }"""
    )
    now = "[annotator.active, annotator.current, document.activeElement.dataset.name]"
    hand.page.get_by_role("radio", name="cat").focus()
    chosen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "Control+ArrowLeft"):
        hand.press(key)
        chosen.append(hand.page.evaluate(now))
    assert chosen == [[name, "k", name] for name in ("dog", "background", "cat", "background", "background")]
    hand.page.get_by_role("radio", name="dog").click()
    hand.press("ArrowRight")
    assert hand.page.evaluate(now) == ["dog", "b", None]


def test_a_list_that_a_mouse_has_chosen_from_leaves_the_keys_to_the_photo(hand):
    kind = hand.page.get_by_label("Which photos are shown")
    kind.click()
    expect(kind).to_be_focused()
    kind.select_option("marked")
    expect(hand.page.locator(".g-ink")).to_be_focused()
    hand.page.get_by_label("Find photos by name").focus()
    hand.press("Tab")
    kind.select_option("unmarked")
    expect(kind).to_be_focused()  # whoever came with the keyboard goes on with it


# Whether anything is painted above the photo, once all that was asked for is.
INKED = """async () => {
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const { ink } = annotator.stage;
  return ink.getContext("2d").getImageData(0, 0, ink.width, ink.height).data.some((value) => value > 0);
}"""


def test_while_the_photo_is_moved_the_pointer_is_a_hand_and_no_cross(hand):
    ink = hand.page.locator(".g-ink")

    def seen():
        return hand.page.evaluate(INKED), ink.evaluate("(node) => getComputedStyle(node).cursor")

    hand.page.mouse.move(*hand.at(200, 150))
    assert seen() == (True, "crosshair")
    hand.page.keyboard.down(" ")
    assert seen() == (False, "grab")
    hand.page.mouse.down()
    assert seen() == (False, "grabbing")
    hand.page.mouse.up()
    hand.page.keyboard.up(" ")
    assert seen() == (True, "crosshair")
    hand.page.mouse.down(button="middle")
    assert seen() == (False, "grabbing")
    hand.page.mouse.up(button="middle")
    assert seen() == (True, "crosshair")


def test_where_there_is_no_photo_there_is_no_cross_and_nothing_to_zoom_or_to_say_of_a_click(hand):
    hand.page.evaluate("annotator.take({ state: { ...annotator.server, images: [] } })")
    hand.page.mouse.move(*hand.page.evaluate("[innerWidth / 3, innerHeight / 2]"))
    assert hand.page.evaluate(INKED) is False
    expect(hand.page.locator(".g-ink")).to_have_css("cursor", "default")
    for name in ("Zoom out", "Zoom in", "Show the whole photo"):
        expect(hand.page.get_by_role("button", name=name)).to_be_disabled()
    hand.page.evaluate("annotator.suggest()")
    hand.page.wait_for_function("annotator.channel.idle")
    assert hand.page.locator(".g-notice").count() == 0


def test_the_size_of_the_brush_is_seen_while_it_is_set_and_the_arrows_are_the_photos_again_after_a_mouse_has(hand):
    brush = hand.page.get_by_role("slider", name="Brush")
    left, top, width, height = brush.bounding_box().values()
    assert hand.page.evaluate(INKED) is False
    hand.page.mouse.move(left + width / 4, top + height / 2)
    hand.page.mouse.down()
    hand.page.mouse.move(left + width / 2, top + height / 2)
    assert hand.page.evaluate(INKED) is True
    hand.page.mouse.up()
    assert hand.page.evaluate(INKED) is False
    expect(hand.page.locator(".g-ink")).to_be_focused()
    size = brush.input_value()
    hand.press("ArrowRight")
    expect(brush).to_have_value(size)
    brush.focus()
    hand.press("ArrowRight")
    assert hand.page.evaluate(INKED) is True and brush.input_value() != size
