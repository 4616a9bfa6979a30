"""Fingers and pens on the photo."""

import re

import pytest
from hand import near
from playwright.sync_api import expect
from visitor import ON_IT, Visitor


def fingers(hand):
    """What puts fingers on pixels of the photo: send(what they do, where each of those that are down is)."""
    touch = hand.page.context.new_cdp_session(hand.page)

    def send(kind, *points):
        places = [dict(zip("xy", hand.at(*point), strict=True), id=i) for i, point in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    return send


def test_one_finger_marks_and_two_move_and_zoom(hand):
    page, send = hand.page, fingers(hand)
    send("touchStart", (100, 100))
    send("touchEnd")
    assert [mark["point"] for mark in hand.marks()] == [near(100, 100)]
    before = page.evaluate("annotator.stage.view.scale")
    send("touchStart", (150, 150))
    send("touchStart", (150, 150), (250, 150))
    send("touchMove", (130, 150), (270, 150))
    send("touchMove", (110, 150), (290, 150))
    send("touchEnd")
    assert page.evaluate("annotator.stage.view.scale") > 1.2 * before
    assert len(hand.marks()) == 1


def test_a_third_finger_marks_nothing(hand):
    send = fingers(hand)
    hand.press("b")
    send("touchStart", (100, 100))
    send("touchStart", (100, 100), (200, 100))
    send("touchStart", (100, 100), (200, 100), (150, 200))
    send("touchMove", (100, 100), (200, 100), (170, 220))
    send("touchEnd")
    assert hand.marks() == []


def test_the_other_end_of_a_pen_erases_whatever_the_tool(hand):
    places = [hand.at(x, 50) for x in (50, 70, 90)]
    hand.page.evaluate(
        """(places) => {
          const kinds = ["pointerdown", "pointermove", "pointerup"];
          for (const [i, [clientX, clientY]] of places.entries()) {
            const pen = { pointerId: 1, pointerType: "pen", button: i === 1 ? -1 : 5, buttons: i === 2 ? 0 : 32 };
            annotator.stage.ink.dispatchEvent(new PointerEvent(kinds[i], { ...pen, clientX, clientY }));
          }
        }""",
        places,
    )
    hand.click(100, 100)
    erased, point = hand.marks()
    assert erased["label"] is None and erased["shape"] == "brush" and erased["stroke"][0] == near(50, 50)
    assert point["label"] == "cat"


@pytest.mark.parametrize("palm_first", [True, False])
def test_the_palm_of_the_hand_with_the_pen_is_no_finger(hand, palm_first):
    pen = hand.page.context.new_cdp_session(hand.page)

    def write(kind, *point):
        where = dict(zip("xy", hand.at(*point), strict=True))
        pen.send("Input.dispatchMouseEvent", {"type": kind, "button": "left", "buttons": 1, "pointerType": "pen", **where})

    send = fingers(hand)
    hand.press("b")
    if palm_first:
        send("touchStart", (300, 250))
    write("mousePressed", 50, 50)
    write("mouseMoved", 70, 50)
    send(*(("touchMove", (310, 260)) if palm_first else ("touchStart", (300, 250))))
    write("mouseMoved", 90, 50)
    send("touchEnd")
    write("mouseReleased", 90, 50)
    [stroke] = hand.marks()
    assert [stroke["stroke"][i] for i in (0, -1)] == [near(50, 50), near(90, 50)]


HINTS = """() => {
  const { hint } = modules.module_hint;
  const images = [{ key: "k", marks: 1 }];
  const classes = [{ name: "background" }, { name: "w" }];
  const state = { images, classes, marked: ["wild boar", "background"], active: "wild boar, the grown", canAdd: true };
  const states = [
    {}, { images: [] }, { classes: [] }, { suggested: true }, { suggested: true, active: "background" }, { marked: [] },
    { marked: [], active: "background" }, { marked: ["wild boar"] }, { tool: "polygon" }, { current: { marks: 0 } },
  ];
  const status = document.querySelector(".g-hint [role=status]");
  return states.map((change) => {
    status.textContent = hint({ ...state, ...change });
    return [status.textContent, status.getBoundingClientRect().height];
  });
}"""


def test_every_hint_fits_a_phone_and_speaks_of_fingers(hand):
    hand.page.set_viewport_size({"width": 344, "height": 740})  # of 360, the page keeps 8 at each side
    hand.page.context.new_cdp_session(hand.page).send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    hints = hand.page.evaluate(HINTS)
    room = hand.page.locator(".g-hint").bounding_box()["height"]
    assert [text for text, height in hints if height > room or "lick" in text or "Drop" in text] == []


def test_the_open_photo_can_be_ticked_and_taken_out_without_a_pointer_that_rests_on_it(chromium, server):
    context = chromium.new_context(viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True)
    page = Visitor(context.new_page(), server).page
    for name in (re.compile("^The masks of .* are correct$"), re.compile("^Take .* out of the gallery$")):
        open_, *others = page.get_by_role("button", name=name).all()
        expect(open_).to_have_css("opacity", "0.85")
        expect(others[0]).to_have_css("opacity", "0")
    page.get_by_role("button", name="The masks of").first.tap()
    page.wait_for_selector(".g-tile.g-correct")
    page.get_by_role("button", name="Select photos").tap()
    expect(page.locator(".g-number")).to_have_text("Tap photos")
    context.close()


def test_on_a_phone_little_is_left_empty_around_the_page(chromium, server):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = Visitor(context.new_page(), server).page.locator(".guided").bounding_box()
    assert (box["x"], box["width"]) == (8, 374)
    assert box["y"] <= 40 and box["y"] + box["height"] >= 836
    context.close()


def test_on_a_phone_without_connection_what_gradio_says_of_it_leaves_the_classes_free(chromium, server):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor = Visitor(context.new_page(), server)
    visitor.click(*ON_IT)
    context.set_offline(True)
    visitor.button("Download masks").tap()
    toast = visitor.page.get_by_test_id("toast-body")
    toast.wait_for()
    said, stage = toast.bounding_box(), visitor.page.locator(".g-stage").bounding_box()
    assert stage["y"] <= said["y"] and said["y"] + said["height"] <= stage["y"] + stage["height"]
    context.close()


def test_a_second_finger_during_the_first_corner_leaves_no_outline_behind(hand):
    send = fingers(hand)
    hand.press("l")
    send("touchStart", (100, 100))
    send("touchStart", (100, 100), (200, 100))
    send("touchEnd")
    assert hand.page.evaluate("annotator.stage.gestures.isBusy") is False


def test_whoever_outlines_is_told_how_that_ends(hand):
    said = hand.page.locator(".g-hint [role=status]")
    hand.press("l")
    expect(said).to_have_text("Click the corners; click the first again to finish.")
    hand.press("p")
    expect(said).not_to_contain_text("corners")


def test_a_finger_ends_an_outline_near_its_first_corner(hand):
    send = fingers(hand)
    hand.press("l")
    scale = hand.page.evaluate("annotator.stage.view.scale")
    corners = [(100, 80), (200, 80), (200, 200)]
    for corner in (*corners, (100 + 20 / scale, 80)):
        send("touchStart", corner)
        send("touchEnd")
    (mark,) = hand.marks()
    assert mark["stroke"] == [near(*corner) for corner in corners]


def test_on_a_touch_screen_the_help_tells_what_fingers_do(chromium, server):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = Visitor(context.new_page(), server).page
    page.get_by_role("button", name="Help").tap()
    terms = page.locator(".g-help dt").all_inner_texts()
    assert "Two fingers" in terms and "P  B  E" not in terms
    context.close()


def test_a_phone_does_not_zoom_the_page_to_a_field_and_what_is_chosen_is_read(chromium, server):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = Visitor(context.new_page(), server).page
    page.get_by_role("button", name="More of the gallery").tap()
    find, *lists = page.locator(".g-sift :is(input, select)").all()
    for field in (find, *lists):
        expect(field).to_have_css("font-size", "16px")
        assert field.bounding_box()["width"] > 140
    context.close()


def test_on_a_phone_what_is_said_of_long_work_leaves_the_photos_free(chromium, server):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = Visitor(context.new_page(), server).page
    page.evaluate(
        """() => {
          document.querySelector(".g-progress").hidden = false;
          document.querySelector(".g-progress span").textContent = "Reading files: 12 of 40, about 120 s left; 2 more to do";
        }"""
    )
    tiles, said = (page.locator(name).bounding_box() for name in (".g-tile >> nth=0", ".g-progress"))
    assert tiles["y"] + tiles["height"] <= said["y"]
    context.close()


def test_what_a_slider_changes_is_seen_while_a_finger_holds_it(hand):
    page = hand.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelector('.guided').style.height = 'calc(100dvh - 44px)'")  # as on the page
    touch = page.context.new_cdp_session(page)

    def hold(name):
        left, top, width, height = page.get_by_role("slider", name=name).bounding_box().values()
        for kind, x in (("touchStart", left + width / 2), ("touchMove", left + width / 3)):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": top + height / 2}]})

    hold("Brush")
    assert page.evaluate("annotator.tools.isSizing")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert not page.evaluate("annotator.tools.isSizing")
    page.locator(".g-look").click()
    hold("Masks")
    expect(page.locator(".g-views")).to_have_css("opacity", "0")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator(".g-views")).to_have_css("opacity", "1")
