"""The annotator at a gallery of 300 photos, without a server."""

import pytest
from hand import Hand

from guided_demo.ui import assets

# A server with 300 photos, that answers for at most five at a time. Photo 7 is the least sure, then 8, 9, …; 0 to 6 are sure.
HOST = """() => {
  const images = Array.from({ length: 300 }, (_, i) => ({
    key: `k${i}`, name: `${i % 2 ? "odd" : "even"} ${300 - i}.jpg`, size: [400, 300], marks: i < 3 ? 1 : 0, correct: false,
  }));
  const classes = [{ name: "background", color: "#888888" }, { name: "cat", color: "#0099ee" }];
  const look = { scope: "everywhere", unsure: 0, view: "overlay", label: null };
  const state = { revision: 1, look, classes, undo: true, redo: false, marked: ["cat"], samples: [] };
  const picture = document.createElement("canvas").toDataURL();
  const number = (key) => Number(key.slice(1));
  const some = (keys, make) => Object.fromEntries(keys.slice(0, 5).map((key) => [key, make(number(key))]));
  const summary = (i) => ({
    shares: { background: i < 20 ? 0.75 : 1, cat: i < 20 ? 0.25 : 0 },
    uncertainty: i < 7 || masks.sure.includes(i) ? 0.01 : 0.9 - i / 1000,
    click: [40 + i, 100],
    ...(images[i]?.correct && { kept: masks.changed.includes(i) ? 0.5 : 1 }),
  });
  const reads = (window.reads = []);
  const masks = (window.masks = { sure: [], changed: [] }); // photos that became sure, or others than was said to be correct
  const replies = {
    start: () => ({ state: { ...state, images: [...images] } }),
    all: () => ({ state: { ...state, images: [...images] } }),
    open: ({ key }) => {
      const marks = number(key) < 3 ? [{ point: [5, 5], label: "cat" }] : [];
      return { state: { ...state }, key, marks, count: marks.length };
    },
    photos: ({ keys }) => ({ photos: some(keys, () => picture) }),
    masks: ({ keys }) => ({
      revision: state.revision, view: look.view, masks: some(keys, () => picture), summaries: some(keys, summary),
    }),
    summaries: ({ keys }) => ({ revision: state.revision, summaries: some(keys, summary) }),
    agreement: () => ({ points: [[0, 0], [1, 0.5], [2, 1]] }),
  };
  const log = (window.log = []);
  const call = async (message) => {
    const { do: verb } = message;
    if (verb in replies) {
      reads.push(structuredClone(message));
      await window.gate;
      return replies[verb](message);
    }
    log.push(structuredClone(message));
    state.revision += 1;
    if (verb === "mark_correct") images[number(message.photo)] = { ...images[number(message.photo)], correct: message.correct };
    const kept = images.filter(({ key }) => verb !== "remove_images" || !message.keys.includes(key));
    return { state: { ...state, ...(verb !== "mark" && { images: kept }) }, key: message.key, count: 1, mask: null };
  };
  const element = document.createElement("div");
  element.className = "g-root";
  document.body.append(element);
  window.annotator = modules.module_canvas.mount({ element, host: { wholePage: true, call, work: async () => ({}) } });
}"""


class Many(Hand):
    """A hand at a gallery of 300 photos."""

    def settle(self):
        self.page.wait_for_selector(".guided[data-ready=true]:not(.g-busy):not(.g-catching-up)")

    def tile(self, number):
        return self.page.locator(f".g-tile[data-key=k{number}]")

    def open(self, number, **options):
        self.tile(number).locator(".g-open").click(**options)

    def shown(self):
        self.settle()
        return [int(key[1:]) for key in self.page.evaluate("annotator.gallery.order")]

    def asked(self, verb):
        reads = self.page.evaluate("reads")
        return {int(key[1:]) for message in reads if message["do"] == verb for key in message.get("keys", [])}

    def opened(self):
        """What was asked for to be opened."""
        return [message["key"] for message in self.page.evaluate("reads") if message["do"] == "open"]

    def pictures(self):
        """The photos whose large pictures were asked for."""
        return [key for message in self.page.evaluate("reads") if message.get("edge") == 2048 for key in message["keys"]]

    def order(self, value):
        self.page.get_by_label("Order of the photos").select_option(value)

    def kind(self, label):
        self.page.get_by_label("Which photos are shown").select_option(label=label)


@pytest.fixture
def many(canvas):
    canvas.add_style_tag(content=assets.style())
    canvas.evaluate(HOST)
    made = Many(canvas)
    made.settle()
    return made
