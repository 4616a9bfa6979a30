/**
 * The annotator: one ES module for two hosts, a Gradio page and a Jupyter widget. The host gives
 *   call(message)             a short request; resolves to the server's reply, or to undefined where it was not reached
 *   work(message, onProgress) a long one, with replies on the way; resolves to the last
 *   send(file, name, place)   hand over a file of any kind, the place-th of many; resolves to a reply; absent where files
 *                             come another way
 *   wholePage                 whether keys and dropped files of the whole page are meant for the annotator
 * Everything lives in `mount({ element, host })`, which builds the annotator inside `element`.
 */

import { Channel } from "./canvas/channel.js";
import { Classes } from "./canvas/classes.js";
import { button, el } from "./canvas/dom.js";
import { Files } from "./canvas/files.js";
import { Gallery } from "./canvas/gallery.js";
import { hint } from "./canvas/hint.js";
import { listen } from "./canvas/keys.js";
import { BACKGROUND } from "./canvas/marks.js";
import { Help, Notices, Progress } from "./canvas/overlay.js";
import { Stage } from "./canvas/stage.js";
import { Tools } from "./canvas/tools.js";
import { Transfer } from "./canvas/transfer.js";

const PHOTO_EDGE = 2048;
const MASK_EDGE = 1280;
const SMALLEST_BRUSH = 2;
const LARGEST_BRUSH = 80;

class Annotator {
  server = { images: [], classes: [], revision: -1, undo: false, redo: false, marked: [], samples: [] };
  current = null;
  active = null;
  tool = "point";
  brush = 12;
  opacity = 0.55;
  #maskRevision = -1;
  #kept = []; // marks of the open photo that the server has
  #pending = []; // and those on their way to it
  #lastReply = null;

  constructor(host) {
    this.host = host;
    this.notices = new Notices();
    this.progress = new Progress();
    this.help = new Help();
    this.channel = new Channel((message) => host.call(message), {
      onActivity: (busy) => this.element.classList.toggle("g-busy", busy),
      onTrouble: (trouble) => this.#trouble(trouble),
    });
    this.stage = new Stage({ settings: () => this.settings(), onMark: (mark) => this.mark(mark) });
    const change = (message) => this.change(message);
    this.tools = new Tools(
      {
        tool: (name) => this.set({ tool: name }),
        undo: () => change({ do: "undo" }),
        redo: () => change({ do: "redo" }),
        clear: () => change({ do: "clear" }),
        step: (by) => this.step(by),
        zoom: (factor) => this.stage.zoom(factor),
        fit: () => this.stage.fit(),
        help: () => this.help.toggle(),
        brushSize: (brush) => this.set({ brush }),
        opacity: (opacity) => this.set({ opacity }),
      },
      this,
    );
    this.classes = new Classes({
      choose: (name) => this.choose(name),
      add: (name) => change({ do: "add_class", name }).then(() => this.choose(name)),
      rename: (name, to) => change({ do: "rename_class", name, to }).then(() => this.choose(to)),
      recolor: (name, color) => change({ do: "recolor_class", name, color }),
      remove: (name) => change({ do: "remove_class", name }),
    });
    this.gallery = new Gallery({
      read: (message) => this.channel.read(message),
      onOpen: (key) => this.open(key),
      onRemove: (key) => change({ do: "remove_images", keys: [key] }),
      onProgress: (waiting) => this.element.classList.toggle("g-catching-up", waiting > 0),
    });
    const { channel, progress, notices } = this;
    this.transfer = new Transfer({ host, channel, progress, notices, take: (reply) => this.#take(reply) });
    this.files = new Files({
      add: host.send && ((files) => this.transfer.add(files)),
      saveGuidance: () => this.transfer.saveGuidance(),
      download: (form) => this.transfer.download(form),
    });
    this.element = this.#build();
    const target = host.wholePage ? document : this.element;
    if (host.send) this.transfer.acceptDrops(target, this.element);
    listen(target, this.stage, this.#keyActions());
  }

  #build() {
    this.count = el("h2", { class: "g-count" });
    this.hint = el("p", { class: "g-hint", role: "status" });
    const work = el("div", { class: "g-work" }, this.stage.element);
    const main = el(
      "section",
      { class: "g-main", "aria-label": "Photo" },
      this.hint,
      this.classes.element,
      this.tools.element,
      work,
      this.tools.below,
    );
    const head = el("div", { class: "g-head" }, this.count, this.files.adding);
    const dismiss = () => this.change({ do: "remove_images", keys: this.server.samples });
    this.samples = button("close", "Take the sample photos out of the gallery", dismiss, {
      text: "Take out the sample photos",
      class: "g-samples",
      hidden: true,
    });
    const parts = [head, this.progress.element, this.samples, this.gallery.element, this.files.element];
    const side = el("section", { class: "g-side", "aria-label": "Gallery" }, ...parts);
    return el("div", { class: "guided", "data-ready": "false" }, main, side, this.notices.element, this.help.element);
  }

  #keyActions() {
    return {
      tool: (name) => this.set({ tool: name }),
      classNumber: (number) => this.choose(this.server.classes[number]?.name),
      brush: (factor) => this.set({ brush: this.brush * factor }),
      undo: () => this.change({ do: "undo" }),
      redo: () => this.change({ do: "redo" }),
      step: (by) => this.step(by),
      help: (open) => this.help.toggle(open),
      markHere: (background) => this.stage.markAtKeyboardCursor(background ? BACKGROUND : this.active),
    };
  }

  async start() {
    const reply = await this.channel.read({ do: "start" });
    this.files.offer(reply.downloads);
    this.#take(reply);
    this.element.dataset.ready = "true";
    if (this.host.wholePage) this.stage.ink.focus({ preventScroll: true });
  }

  /** Show the session as it is now that something else has changed it. */
  async refresh() {
    const before = this.current;
    this.#take({ ...(await this.channel.read({ do: "start" })), focus: null, mask: null });
    if (before && this.current === before) await this.#look();
  }

  settings() {
    const { tool, opacity } = this;
    const colors = Object.fromEntries(this.server.classes.map(({ name, color }) => [name, color]));
    return { tool, label: this.active, radius: this.brush, opacity, colors };
  }

  set(changes) {
    Object.assign(this, changes);
    this.brush = Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, this.brush));
    this.#update();
  }

  choose(name) {
    if (this.server.classes.some((item) => item.name === name)) this.set({ active: name });
  }

  get image() {
    return this.server.images.find((image) => image.key === this.current);
  }

  /** Everything on the page that follows from the state. */
  #update() {
    const { images, classes, undo, redo, marked, samples } = this.server;
    if (!classes.some((item) => item.name === this.active)) this.active = (classes[1] ?? classes[0])?.name ?? null;
    const marks = [...this.#kept, ...this.#pending];
    const place = `${images.indexOf(this.image) + 1} / ${images.length}`;
    this.stage.set({ marks });
    this.classes.show(classes, this.active);
    this.tools.show({
      tool: this.tool,
      brush: this.brush,
      undo,
      redo,
      marks: marks.length,
      name: this.image?.name,
      place,
    });
    this.gallery.show(images, this.current);
    this.files.show({ guided: marked.length > 0, photos: images.length });
    this.count.textContent = images.length === 1 ? "1 photo" : `${images.length} photos`;
    this.samples.hidden = !samples.length || samples.length === images.length;
    this.hint.textContent = hint({
      ...this.server,
      active: this.active,
      current: this.image,
      canAdd: Boolean(this.host.send),
    });
    this.element.style.setProperty("--mask-opacity", this.opacity);
  }

  /** Take in what a reply says of the session, unless something newer is known. */
  #take(reply) {
    if (reply === this.#lastReply) return;
    this.#lastReply = reply;
    if (reply.error) this.notices.show(reply.error, { problem: true });
    if (!reply.state || reply.state.revision < this.server.revision) return this.#update();
    const isNews = reply.state.revision > this.server.revision;
    this.server = { ...this.server, ...reply.state };
    const has = (key) => this.server.images.some((image) => image.key === key);
    const key = [reply.focus, this.current, this.server.images[0]?.key].find((wanted) => wanted && has(wanted)) ?? null;
    if (key !== this.current) this.open(key);
    else if (isNews && !("mask" in reply)) this.#look();
    if (reply.key && reply.key === this.current) {
      if (reply.marks) this.#keep(reply.marks);
      if ("mask" in reply) this.#showMask(reply.key, reply.mask, reply.state.revision);
    }
    this.gallery.refresh(this.server.revision);
    this.#update();
  }

  /** Remember the marks that the server has of the open photo. */
  #keep(marks) {
    this.#kept = marks;
    this.image.marks = marks.length;
    this.gallery.setMarked(this.current, marks.length > 0);
  }

  async #showMask(key, source, revision) {
    const mask = source && (await loadImage(source));
    if (key !== this.current || revision < this.#maskRevision) return;
    this.#maskRevision = revision;
    this.stage.set({ mask });
  }

  /** A change to the session, shown with its effect on the open photo. */
  async change(message) {
    this.#take(await this.channel.change({ key: this.current, edge: MASK_EDGE, ...message }));
  }

  /** Show a mark at once, and send it. */
  async mark(mark) {
    const key = this.current;
    if (!key) return;
    this.#pending = [...this.#pending, mark];
    this.#update();
    const reply = await this.channel.change({ do: "mark", key, edge: MASK_EDGE, marks: [mark] });
    this.#pending = this.#pending.filter((other) => other !== mark);
    if (key === this.current && !reply.error) this.#keep([...this.#kept, mark]);
    this.#take(reply);
  }

  async open(key) {
    this.current = key;
    this.#maskRevision = -1;
    this.#kept = [];
    this.#pending = [];
    this.stage.show(
      this.image?.size ?? [1, 1],
      this.image ? `Photo ${this.image.name}. Press H for help.` : "No photo",
    );
    this.#update();
    if (!key) return;
    const shown = this.#look();
    const { photos } = await this.channel.read({ do: "photos", keys: [key], edge: PHOTO_EDGE });
    const photo = photos?.[key] && (await loadImage(photos[key]));
    if (key === this.current && photo) this.stage.set({ photo });
    await shown;
  }

  /** Ask for the marks and the mask of the open photo; again, where a mark was made in the meantime. */
  async #look() {
    const key = this.current;
    const reply = await this.channel.read({ do: "open", key, edge: MASK_EDGE });
    if (key !== this.current) return;
    if (reply.state?.revision < this.server.revision) await this.#look();
    else this.#take(reply);
  }

  step(by) {
    const { images } = this.server;
    const place = images.findIndex((image) => image.key === this.current);
    const next = images[(place + by + images.length) % images.length];
    if (next && next.key !== this.current) this.open(next.key);
  }

  #trouble(trouble) {
    if (trouble)
      this.lost ??= this.notices.show("The connection was lost. Trying again; your marks are kept.", { problem: true });
    else {
      this.lost?.remove();
      this.lost = null;
    }
  }
}

async function loadImage(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

export function mount({ element, host }) {
  const annotator = new Annotator(host);
  element.replaceChildren(annotator.element);
  annotator.start();
  return annotator;
}
