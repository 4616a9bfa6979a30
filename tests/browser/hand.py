"""The annotator by itself, without a server: a mouse and a keyboard on it, and a host that says yes to everything."""

import pytest

from guided_demo.ui import assets


@pytest.fixture
def canvas(page):
    """A page with every module of the bundle as `modules`."""
    script = assets.script().replace("export const { mount }", "const { mount }")
    names = ["canvas", *sorted(path.stem for path in (assets.FOLDER / "canvas").glob("*.js"))]
    page.set_content("<!doctype html><body style='margin:0'></body>")
    page.add_script_tag(content=f"(() => {{ {script}\nwindow.modules = {{ {','.join('module_' + n for n in names)} }}; }})()")
    return page


# A server that has one photo of 400x300 pixels and says yes to everything.
HOST = """() => {
  const images = [{ key: "k", name: "photo", size: [400, 300], marks: 0 }];
  const color = { background: "#888888", cat: "#0099ee", dog: "#bb8800" };
  const classes = Object.keys(color).map((name) => ({ name, color: color[name] }));
  const look = { scope: "everywhere", unsure: 0, view: "overlay", label: null };
  const state = { revision: 0, look, classes, undo: true, redo: true, marked: [], samples: [] };
  const each = (keys, value) => Object.fromEntries(keys.map((key) => [key, value]));
  const picture = document.createElement("canvas").toDataURL();
  const replies = {
    start: () => ({ state: { ...state, images } }),
    all: () => ({ state: { ...state, images } }),
    open: ({ key }) => {
      const kept = key === "k" ? structuredClone(marks) : [];
      return { state: { ...state }, key, marks: kept, count: kept.length, mask: null };
    },
    count_marks: () => ({ marks: 3 }),
    photos: ({ keys }) => ({ photos: each(keys, picture) }),
    masks: ({ keys }) => ({ revision: state.revision, masks: each(keys, null), summaries: each(keys, null) }),
  };
  const marks = (window.marks = []);
  const call = async (message) => {
    if (!(message.do in replies)) log.push(structuredClone(message));
    marks.push(...(message.marks ?? []));
    const shown = { key: "k", count: marks.length, mask: null };
    if (message.do === "look") state.look = { ...state.look, ...message, do: undefined };
    const reply = replies[message.do]?.(message) ?? { state: { ...state, revision: ++state.revision }, ...shown };
    await window.gates?.[message.do];
    return reply;
  };
  const log = (window.log = []);
  const element = document.createElement("div");
  element.className = "g-root";
  document.body.append(element);
  window.annotator = modules.module_canvas.mount({ element, host: { wholePage: true, call, work: async () => ({}) } });
}"""


def near(*expected):
    """A place in pixels of the photo, give or take one."""
    return pytest.approx(expected, abs=1)


class Hand:
    """A mouse and a keyboard on the annotator, in pixels of the photo."""

    def __init__(self, page):
        self.page = page

    def at(self, x, y):
        u, v, left, top = self.page.evaluate(
            """([x, y]) => {
              const box = annotator.stage.ink.getBoundingClientRect();
              return [...annotator.stage.view.toStage(x, y), box.x, box.y];
            }""",
            [x, y],
        )
        return left + u, top + v

    def click(self, x, y, **options):
        self.page.mouse.click(*self.at(x, y), **options)

    def drag(self, *points, button="left"):
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=5)
        self.page.mouse.up(button=button)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def log(self):
        """What the server was told."""
        return self.page.evaluate("log")

    def sent(self, verb="mark"):
        """What of one kind the server was told, once everything was."""
        self.page.wait_for_function("annotator.channel.idle")
        return [message for message in self.log() if message["do"] == verb]

    def marks(self):
        return [mark for message in self.sent() for mark in message["marks"]]


@pytest.fixture
def hand(canvas):
    canvas.add_style_tag(content=assets.style())
    canvas.evaluate(HOST)
    canvas.wait_for_selector(".guided[data-ready=true]")
    canvas.wait_for_function("annotator.stage.view.stage[0] > 1")  # a frame later; until then all of the photo is in one pixel
    return Hand(canvas)
