"""The modules of canvas.js by themselves, in a real Chromium, with a host that the test plays."""

import json

import pytest
from hand import near
from playwright.sync_api import expect

CHANNEL = """async (script) => {
  const { Channel } = modules.module_channel;
  const sent = [];
  const replies = [];
  const call = (message) => new Promise((resolve) => { sent.push(structuredClone(message)); replies.push(resolve); });
  const tick = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
  const run = new Function("channel", "sent", "replies", "tick", `return (async () => { ${script} })()`);
  return await run(new Channel(call), sent, replies, tick);
}"""


def channel(page, script):
    return page.evaluate(CHANNEL, script)


def test_reads_wait_for_changes_but_a_change_does_not_wait_for_a_read(canvas):
    sent = channel(
        canvas,
        """
        channel.read({ do: "first read" });
        channel.read({ do: "second read" });
        channel.change({ do: "undo" });
        channel.change({ do: "redo" });
        const [first, undo] = replies;
        first({});
        await tick();
        const before = sent.map((message) => message.do);
        undo({});
        for (let i = 2; i < 4; i++) { await tick(); replies[i]({}); }
        return [before, sent.map((message) => message.do)];
        """,
    )
    assert sent == [["first read", "undo"], ["first read", "undo", "redo", "second read"]]


def test_changes_are_numbered_and_waiting_marks_of_an_image_travel_together(canvas):
    sent = channel(
        canvas,
        """
        const mark = (key, number) => channel.change({ do: "mark", key, marks: [number] });
        mark("a", 1);
        mark("a", 2);
        mark("a", 3);
        mark("b", 4);
        channel.change({ do: "undo" });
        mark("b", 5);
        while (replies.length) { replies.shift()({}); await tick(); }
        return sent;
        """,
    )
    assert [(message.get("key"), message.get("marks")) for message in sent] == [
        ("a", [1]), ("a", [2, 3]), ("b", [4]), (None, None), ("b", [5]),
    ]  # fmt: skip
    numbers = [message["number"] for message in sent]
    assert numbers == sorted(set(numbers))


def test_no_more_points_travel_together_than_the_server_takes(canvas):
    sent = channel(
        canvas,
        """
        const stroke = Array.from({ length: 4000 }, (_, i) => [i, i]);
        for (let i = 0; i < 7; i++) channel.change({ do: "mark", key: "a", marks: [{ stroke }] });
        while (replies.length) { replies.shift()({}); await tick(); }
        return sent.map((message) => message.marks.length);
        """,
    )
    assert sent == [1, 2, 2, 2]


def test_a_request_without_an_answer_is_repeated_under_its_number(canvas):
    sent = channel(
        canvas,
        """
        const done = channel.change({ do: "undo" });
        while (sent.length < 3) { replies.shift()?.(undefined); await tick(20); }
        replies.shift()({ ok: true });
        return [...sent, await done];
        """,
    )
    assert sent == [{"do": "undo", "number": 1}] * 3 + [{"ok": True}]


def test_long_work_that_is_begun_during_other_waits_until_that_has_ended_even_if_stopped(canvas):
    told = canvas.evaluate(
        """async () => {
          const progress = new modules.module_overlay.Progress();
          const tick = () => new Promise((resolve) => setTimeout(resolve));
          const [shown, ends, answers] = [[], [], []];
          const look = async () => (await tick(), shown.push(progress.element.hidden || progress.text.textContent));
          for (const name of "abc") {
            const answer = progress.during(name, () => new Promise((resolve) => ends.push(resolve)));
            answer.then((answer) => answers.push([name, answer]));
          }
          await look();
          progress.stop.click();
          await look();
          ends[0](1);
          await look();
          ends[1](2);
          await look();
          ends[2](3);
          await look();
          return [shown, answers];
        }"""
    )
    assert told == [["a …; 2 more to do", True, "b …; 1 more to do", "c …", True], [["a", None], ["b", 2], ["c", 3]]]


def test_a_message_is_said_once_but_not_in_place_of_one_with_other_details(hand):
    for name in ("a.pdf", "a.pdf", "b.pdf"):
        hand.page.evaluate("(name) => annotator.notices.show('One file:', { problem: true, details: [name] })", name)
    assert hand.page.locator(".g-notice li").all_inner_texts() == ["a.pdf", "b.pdf"]


def test_of_several_messages_the_last_is_in_sight_until_it_is_closed(hand):
    for name in "abc":
        hand.page.evaluate("(name) => annotator.notices.show(name, { problem: true })", name)
    for name in "cba":
        expect(hand.page.locator(".g-notice p:visible")).to_have_text([name])
        hand.page.get_by_role("button", name="Close this message").click()
    expect(hand.page.locator(".g-notice")).to_have_count(0)


def test_zoom_keeps_the_pixel_under_the_pointer(canvas):
    before, after, fitted = canvas.evaluate(
        """() => {
          const { View } = modules.module_view;
          const view = new View();
          view.image = [4000, 3000];
          view.resize([800, 600]);
          view.fit();
          view.zoom(6, 400, 300);
          const before = view.toImage(250, 140);
          view.zoom(1.7, 250, 140);
          const after = view.toImage(250, 140);
          view.zoom(1e-9);
          return [before, after, view.isFitted];
        }"""
    )
    assert after == pytest.approx(before)
    assert fitted


def test_a_thinned_path_keeps_its_ends(canvas):
    path = [[i * 0.3, 7.123456] for i in range(100)]
    thin = canvas.evaluate(f"() => modules.module_marks.thin({json.dumps(path)}, 2)")
    assert thin[0] == [0, 7.12] and thin[-1] == [29.7, 7.12]
    assert 10 < len(thin) < 20


def test_left_click_marks_the_chosen_class_and_right_click_background(hand):
    hand.click(100, 50)
    hand.click(300, 200, button="right")
    hand.press("2")
    hand.click(20, 280)
    hand.press("0")
    hand.click(399, 1)
    assert [mark["label"] for mark in hand.marks()] == ["cat", "background", "dog", "background"]
    assert hand.marks()[0]["point"] == near(100, 50)
    assert hand.marks()[2]["point"] == near(20, 280)


def test_a_click_beside_the_photo_marks_nothing(hand):
    hand.click(-3, 100)
    hand.click(200, 303)
    assert hand.marks() == []


def test_a_hundred_fast_clicks_all_arrive_once_and_in_order(hand):
    for i in range(100):
        hand.click(10 + 3.5 * i, 150)
    xs = [mark["point"][0] for mark in hand.marks()]
    assert len(xs) == 100 and xs == sorted(xs)
    assert len(hand.page.evaluate("annotator.stage.marks")) == 100


def test_brush_and_eraser_send_their_path_and_radius_in_pixels_of_the_photo(hand):
    hand.press("b")
    hand.drag((50, 50), (150, 60), (200, 120))
    hand.press("e")
    hand.drag((60, 40), (60, 80))
    brush, eraser = hand.marks()
    scale = hand.page.evaluate("annotator.stage.view.scale")
    assert brush["label"] == "cat" and brush["shape"] == "brush" and brush["radius"] == pytest.approx(12 / scale)
    assert brush["stroke"][0] == near(50, 50) and brush["stroke"][-1] == near(200, 120) and len(brush["stroke"]) > 5
    assert eraser["label"] is None


def test_a_rectangle_is_a_polygon_of_its_corners(hand):
    hand.press("r")
    hand.drag((40, 30), (240, 180))
    (box,) = hand.marks()
    assert box["shape"] == "polygon" and box["label"] == "cat"
    for corner, expected in zip(box["stroke"], [(40, 30), (240, 30), (240, 180), (40, 180)], strict=True):
        assert corner == near(*expected)


@pytest.mark.parametrize("finish", ["double click", "first corner", "Enter"])
def test_an_outline_is_closed_in_three_ways(hand, finish):
    hand.press("l")
    corners = [(40, 30), (240, 30), (240, 180)]
    for corner in corners:
        hand.click(*corner)
    if finish == "double click":
        hand.page.mouse.dblclick(*hand.at(40, 180))
    elif finish == "first corner":
        hand.click(41, 31)
    else:
        hand.press("Enter")
    (outline,) = hand.marks()
    assert outline["shape"] == "polygon"
    expected = [*corners, (40, 180)] if finish == "double click" else corners
    assert [tuple(corner) for corner in outline["stroke"]] == [near(*corner) for corner in expected]


def test_escape_gives_up_an_outline(hand):
    hand.press("l")
    for corner in [(40, 30), (240, 30), (240, 180)]:
        hand.click(*corner)
    hand.press("Escape", "p")
    hand.click(10, 10)
    assert [list(mark) for mark in hand.marks()] == [["point", "label"]]


@pytest.mark.parametrize(("button", "label"), [("left", "dog"), ("right", "background")])
def test_an_outline_is_of_the_class_that_is_chosen_when_it_is_closed(hand, button, label):
    hand.press("l")
    for corner in ((100, 80), (200, 80), (200, 200)):
        hand.click(*corner, button=button)
    hand.press("2")
    assert hand.page.evaluate("annotator.stage.gestures.draft.label") == label
    hand.press("Enter")
    assert [mark["label"] for mark in hand.marks()] == [label]


def test_another_tool_gives_up_an_outline(hand):
    hand.press("l")
    hand.click(100, 80)
    hand.click(200, 80)
    hand.press("b")
    hand.page.mouse.move(*hand.at(300, 200))
    assert hand.page.evaluate("annotator.stage.gestures.draft") is None


def test_an_answer_older_than_a_mark_does_not_hide_it(hand):
    hand.page.evaluate(
        """() => {
          marks.push({ point: [30, 30], label: "dog" });
          window.gates = { open: new Promise((resolve) => (window.release = resolve)) };
          annotator.open("k");
        }"""
    )
    hand.click(100, 100)
    hand.page.wait_for_function("log.length === 1")
    hand.page.evaluate("release()")
    hand.sent()
    hand.page.wait_for_function("annotator.stage.marks.length === 2")
    assert hand.page.evaluate("annotator.stage.marks.map((mark) => mark.label)") == ["dog", "cat"]


def test_an_older_mask_does_not_replace_a_newer_one(hand):
    shown = hand.page.evaluate(
        """async () => {
          const color = (fill) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 2, height: 2 });
            Object.assign(canvas.getContext("2d"), { fillStyle: fill }).fillRect(0, 0, 2, 2);
            return canvas.toDataURL();
          };
          const { gallery } = annotator;
          const answers = [{ revision: 9, masks: { k: color("red") } }, { revision: 3, masks: { k: color("lime") } }];
          gallery.read = async () => answers.shift() ?? { revision: 9, masks: {} };
          await gallery.refresh(8);
          const newer = document.querySelector(".g-mask").src;
          gallery.read = async () => ({ revision: 3, masks: { k: color("lime") }, error: undefined });
          await gallery.refresh(3);
          return newer === color("red") && document.querySelector(".g-mask").src === newer;
        }"""
    )
    assert shown


TWO_PHOTOS = """() => {
  const images = ["k", "b"].map((key) => ({ key, name: key, size: [400, 300], marks: 0 }));
  annotator.take({ state: { ...annotator.server, images } });
}"""


def test_a_photo_that_was_left_before_its_mark_was_answered_is_marked(hand):
    hand.page.evaluate(TWO_PHOTOS)
    hand.page.evaluate("window.gates = { mark: new Promise((resolve) => (window.release = resolve)) }")
    hand.click(200, 150)
    hand.press("ArrowRight")
    hand.page.evaluate("release()")
    assert len(hand.marks()) == 1
    assert hand.page.evaluate("annotator.server.images.map(({ key, marks }) => [key, marks])") == [["k", 1], ["b", 0]]


def test_photos_that_came_with_an_older_answer_are_asked_for_again(hand):
    asked = hand.page.evaluate(
        """async () => {
          const asked = [];
          const read = annotator.channel.read.bind(annotator.channel);
          annotator.channel.read = (message) => (asked.push(message.do), read(message));
          const older = { ...annotator.server, images: [] };
          await annotator.change({ do: "undo" });
          annotator.take({ state: older });
          return asked;
        }"""
    )
    assert "all" in asked
    assert hand.page.evaluate("annotator.server.images.length") == 1


@pytest.mark.parametrize("tool", ["b", "l"])
def test_photos_that_arrive_while_something_is_drawn_leave_the_open_one_open(hand, tool):
    arrive = """() => {
      const images = ["k", "b"].map((key) => ({ key, name: key, size: [400, 300], marks: 0 }));
      annotator.take({ state: { ...annotator.server, images }, focus: "b" });
      return annotator.current;
    }"""
    hand.press(tool)
    if tool == "l":
        hand.click(50, 50)
        hand.click(150, 50)
        assert hand.page.evaluate(arrive) == "k"
        hand.click(150, 150)
        hand.press("Enter")
    else:
        hand.page.mouse.move(*hand.at(50, 50))
        hand.page.mouse.down()
        assert hand.page.evaluate(arrive) == "k"
        hand.page.mouse.move(*hand.at(150, 50), steps=5)
        hand.page.mouse.up()
    assert [message["key"] for message in hand.sent()] == ["k"] and len(hand.marks()[0]["stroke"]) > 2
    assert hand.page.evaluate(arrive) == "b"


def test_the_undo_button_takes_back_the_last_corner_of_an_outline_as_its_key_does(hand):
    undo = hand.page.get_by_role("button", name="Undo (Z)")
    hand.page.evaluate("annotator.take({ state: { ...annotator.server, undo: false } })")
    expect(undo).to_be_disabled()
    hand.press("l")
    corners = [(100, 80), (200, 80), (200, 200)]
    for corner in (*corners, (300, 250)):
        hand.click(*corner)
    undo.click()
    expect(undo).to_be_enabled()
    hand.click(*corners[0])
    (mark,) = hand.marks()
    assert mark["stroke"] == [near(*corner) for corner in corners] and hand.sent("undo") == []


def test_an_outline_is_of_the_photo_it_was_drawn_on_also_if_another_is_opened_before_it_is_closed(hand):
    hand.page.evaluate(TWO_PHOTOS)
    hand.press("l")
    corners = [(100, 80), (200, 80), (200, 200)]
    for corner in corners:
        hand.click(*corner)
    hand.press("ArrowRight")
    hand.click(50, 50)
    hand.click(80, 80)
    hand.press("ArrowLeft", "Enter")  # two corners are no outline
    (message,) = hand.sent()
    assert message["key"] == "k" and message["marks"][0]["stroke"] == [near(*corner) for corner in corners]
    assert hand.page.evaluate("annotator.stage.gestures.draft") is None
