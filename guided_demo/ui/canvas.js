/**
 * The annotator: one ES module for two hosts, a Gradio page and a Jupyter widget. The host gives
 *   call(message)             a short request; resolves to the server's reply, or to undefined where it was not reached
 *   work(message, onProgress) a long one, with replies on the way; resolves to the last, or to undefined where it failed
 *   send(file, name, place)   hand over a file of any kind, the place-th of many; resolves to a reply; absent where files
 *                             come another way
 *   unfinished                {last, keep(now)}: what was under way as the page was left, {changes, files, downloads, hand}, or
 *                             null; and a way to keep what now() gives then; absent where no page is loaded again by itself
 *   wholePage                 whether keys and dropped files of the whole page are meant for the annotator
 * Everything lives in `mount({ element, host })`, which builds the annotator inside `element`.
 */

import { keyed } from "./canvas/dom.js";
import { BACKGROUND } from "./canvas/marks.js";
import { parts } from "./canvas/parts.js";
import { loadImage } from "./canvas/pictures.js";
import { LARGEST_BRUSH, SMALLEST_BRUSH } from "./canvas/tools.js";
import { goOn } from "./canvas/unfinished.js";

const MASK_EDGE = 1280;
const FIRST_LOOK = { scope: "everywhere", unsure: 0, view: "overlay", label: null };

class Annotator {
  server = { images: [], classes: [], revision: -1, look: FIRST_LOOK, undo: false, redo: false, marked: [], samples: [] };
  current = null;
  active = null;
  tool = "point";
  brush = 12;
  opacity = 0.55;
  #maskRevision = -1;
  #kept = []; // marks of the open photo that the server has
  #isDense = false; // whether it has a mask of somebody's for it as well
  #pending = []; // and those on their way to it
  #lastReply = null;
  #wish = null; // how masks are to be seen, as far as the server was not told yet

  constructor(host) {
    this.host = host;
    Object.assign(this, parts(this));
  }

  async start() {
    const reply = await this.channel.read({ do: "start" });
    this.channel.goOnFrom(reply.number);
    this.files.offer(reply.downloads);
    this.take(reply);
    if (this.host.unfinished) goOn(this);
    this.main.inert = this.side.inert = false;
    this.element.dataset.ready = "true";
    if (this.host.wholePage) this.stage.ink.focus({ preventScroll: true });
  }

  /** Show the session as it is now that something else has changed it. */
  async refresh() {
    const before = this.current;
    this.take({ ...(await this.channel.read({ do: "all" })), mask: null, isAll: true });
    if (before && this.current === before) await this.showMarks();
  }

  settings() {
    const { tool, opacity } = this;
    const colors = Object.fromEntries(
      this.named.flatMap(({ name, was = name, color }) => [was, name].map((known) => [known, color])),
    );
    return { tool, label: this.active, radius: this.brush, opacity, colors };
  }

  set(changes) {
    if ("tool" in changes && changes.tool !== this.tool) this.stage.gestures.cancel(); // what one began, another cannot end
    Object.assign(this, changes);
    this.brush = Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, this.brush));
    this.#update();
  }

  choose(name) {
    if (!this.named.some((item) => item.name === name)) return;
    this.set({ active: name });
    if (this.server.look.view === "probability" && this.server.look.label !== name) this.look({ label: name });
  }

  /** What somebody is about to do: a page that is loaded again by itself must not change it under their hand. */
  get hand() {
    const { current, active, tool, brush, opacity } = this;
    return { photo: current, label: active, tool, brush, opacity };
  }

  /** Go on with what `hand` was, as far as it is there. Says whether the class is. */
  takeUp({ photo, label, tool, brush, opacity = this.opacity }) {
    this.set({ tool, brush, opacity });
    this.choose(label);
    if (photo !== this.current && this.server.images.some(({ key }) => key === photo)) this.open(photo);
    return this.active === label;
  }

  /** The classes as they are once the server has done what it was asked for. */
  get named() {
    return this.naming.expected(this.server.classes);
  }

  /** See masks in another way: {scope, unsure, view}. Of many wishes in a row, as of a slider, the last counts. */
  async look(wish) {
    if (wish.view === "probability") wish = { ...wish, label: this.active };
    this.server = { ...this.server, look: { ...this.server.look, ...wish } };
    this.#update();
    const isWaiting = this.#wish;
    this.#wish = { ...this.#wish, ...wish };
    if (isWaiting) return;
    while (this.#wish) {
      const message = { do: "look", ...this.#wish };
      this.#wish = {};
      await this.change(message);
      if (!Object.keys(this.#wish).length) this.#wish = null;
    }
  }

  get image() {
    return this.server.images.find((image) => image.key === this.current);
  }

  /** Everything on the page that follows from the state. */
  #update() {
    const { images, look, undo, redo, marked, samples } = this.server;
    const focused = this.element.querySelector(":focus"); // asked now: some browsers take it from a button that is disabled
    const classes = this.named;
    const isThere = (name) => classes.some((item) => item.name === name);
    const likely = look.view === "probability" ? look.label : null; // the class whose likelihood is seen
    const first = (classes[1] ?? classes[0])?.name ?? null;
    this.active = this.naming.follow(classes, this.active, isThere(likely) ? likely : first);
    if (likely !== null && !isThere(likely) && this.active) return this.look({ label: this.active });
    const marks = [...this.#kept, ...this.#pending];
    this.gallery.show(images, this.current, classes);
    this.stage.set({ marks });
    this.classes.show(classes, this.active);
    const { active, opacity } = this;
    this.looks.show({ look, seen: this.stage.mask && this.stage.look, classes, marked, active, opacity });
    this.scope.show(look.scope);
    this.tools.show({
      isEmpty: !this.image,
      tool: this.tool,
      brush: this.brush,
      undo: undo || this.stage.gestures.isOutlining, // whose last corner goes
      redo,
      isMarked: this.#isDense || marks.length > 0,
    });
    this.showFound();
    this.agreement.show(this.server.revision, images.filter(({ correct }) => correct).length);
    this.transfer.tellMissing(this.server.missing);
    this.files.show({ guided: marked.length > 0, photos: images.length });
    this.nextClick.disabled = !images.length;
    // A button that cannot be pressed any more would take the focus with it, and in a notebook all keys.
    if (focused?.disabled) this.stage.ink.focus({ preventScroll: true });
    this.samples.hidden = !samples.length || samples.length === images.length;
    const canAdd = Boolean(this.host.send);
    const seen = { active: this.active, current: this.image, suggested: this.suggestion.key !== null };
    if (this.server.revision >= 0) this.hint.show({ ...this.server, ...seen, classes, canAdd, tool: this.tool });
    this.element.style.setProperty("--mask-opacity", this.opacity);
  }

  /** How many photos there are, how many of them are shown, and which of these is open. */
  showOrder() {
    const { images } = this.server;
    const { order } = this.gallery;
    const shown = order.length;
    const all = images.length === 1 ? "1 photo" : `${images.length} photos`;
    this.count.textContent = shown < images.length ? `${shown} of ${images.length}` : all; // as much as a small laptop has room for
    const name = this.image?.name ?? "";
    const place = order.indexOf(this.current) + 1 || "–"; // it may be left out by what was asked for
    const canStep = order.some((key) => key !== this.current);
    this.tools.showPhoto(this.gallery.told(name), name, name && `${place} / ${shown}`, canStep);
  }

  /** In how many photos the chosen class is found, as far as that is known. */
  showFound() {
    const { marked, images } = this.server;
    this.found.show({ marked, active: this.active, known: this.gallery.known(), total: images.length });
  }

  /** Take in what a reply says of the session, unless something newer is known; `isJustSeen` where only the view has changed. */
  take(reply, isJustSeen = false) {
    if (reply === this.#lastReply) return;
    this.#lastReply = reply;
    if (reply.error) this.notices.show(reply.error, { problem: true });
    if (!reply.state || reply.state.revision < this.server.revision) {
      // What is newer may have come without the photos: marks bring only their own.
      if (reply.state?.images && !reply.isAll) this.refresh();
      return this.#update();
    }
    const isNews = reply.state.revision > this.server.revision;
    this.server = { ...this.server, ...reply.state, look: { ...reply.state.look, ...this.#wish } };
    const has = (key) => this.server.images.some((image) => image.key === key);
    const focus = this.stage.gestures.isBusy ? null : reply.focus; // what is being drawn is not taken from under the hand
    const key = [focus, this.current, this.server.images[0]?.key].find((wanted) => wanted && has(wanted)) ?? null;
    if (key !== this.current) this.open(key);
    else if (isNews && !("mask" in reply)) this.showMarks();
    if (reply.key && reply.key === this.current) {
      if (reply.marks) this.#keep(reply.marks, reply.dense, reply.count);
      if ("mask" in reply) this.#showMask(reply.key, reply.mask, reply.state);
    }
    this.gallery.refresh(this.server.revision, isJustSeen);
    this.#update();
  }

  /** Remember the marks that the server has of the open photo, whether a mask came with it, and how many of all this count. */
  #keep(marks, isDense, count) {
    this.#kept = marks;
    this.#isDense = isDense;
    this.#count(this.image, count);
  }

  /** A photo of the gallery has so many marks now; of those that are erased, none. */
  #count(image, marks) {
    image.marks = marks;
    this.gallery.setMarked(image.key, marks > 0);
  }

  async #showMask(key, source, { revision, look }) {
    const mask = source && (await loadImage(source));
    if (key !== this.current || revision < this.#maskRevision) return;
    this.#maskRevision = revision;
    this.stage.set({ mask, look: look.view });
    this.#update();
  }

  /** A change to the session, shown with its effect on the open photo; resolves to the reply, which `heard` hears of first. */
  async change(message, heard = () => {}) {
    if (message.do !== "look") this.notices.withdraw();
    const reply = await this.channel.change({ key: this.current, edge: MASK_EDGE, ...message });
    heard();
    this.take(reply, message.do === "look" && !("scope" in message || "unsure" in message));
    return reply;
  }

  /** Take photos out of the gallery, and say how to have them back. */
  async takeOut(keys) {
    const isMarked = this.server.images.find(({ key }) => key === keys[0])?.marks;
    await this.change({ do: "remove_images", keys });
    const back = keyed("Undo", "Z");
    if (keys.length > 1) this.notices.offer(`${keys.length} photos were taken out. ${back} brings them back.`);
    else if (isMarked) this.notices.offer(`A photo was taken out with its marks. ${back} brings both back.`);
  }

  /** Take back the last change, or the last corner of an outline under way. */
  undo() {
    if (!this.stage.gestures.takeBackCorner()) this.change({ do: "undo" });
  }

  toggleCorrect() {
    if (this.image) this.change({ do: "mark_correct", photo: this.current, correct: !this.image.correct });
  }

  /** Open the photo where a click would help most, and show where. */
  async suggest() {
    const isFound = await this.suggestion.next();
    this.stage.draw();
    this.#update();
    if (isFound) return;
    if (!this.image) return;
    const isMarked = this.server.marked.some((name) => name !== BACKGROUND);
    const unknown = "Mark something first; then it is known where a click helps most.";
    this.notices.show(isMarked ? "All photos are marked as correct." : unknown);
  }

  /** Escape: whatever is under way ends. */
  leave() {
    this.suggestion.hide();
    this.gallery.picking.leave();
    this.#update();
  }

  /** Show a mark at once, and send it. */
  async mark(mark) {
    const key = this.current;
    if (!key) return;
    this.#pending = [...this.#pending, mark];
    this.suggestion.forget();
    this.notices.withdraw();
    this.#update();
    const reply = await this.channel.change({ do: "mark", key, edge: MASK_EDGE, marks: [mark] });
    this.#pending = this.#pending.filter((other) => other !== mark);
    const image = this.server.images.find((other) => other.key === key);
    if (image && !reply.error) {
      if (key === this.current) this.#kept = [...this.#kept, mark]; // else another was opened before this one was answered
      this.#count(image, reply.count);
    }
    this.take(reply);
  }

  async open(key) {
    if (this.image) this.stage.gestures.finishPolygon(); // what was outlined stays with its photo
    this.current = key;
    this.suggestion.hide();
    this.#maskRevision = -1;
    this.#kept = [];
    this.#isDense = false;
    this.#pending = [];
    this.stage.show(
      this.image?.size ?? null,
      this.image ? `Photo ${this.image.name}. Press H for help.` : "No photo",
      this.gallery.picture(key),
    );
    this.#update();
    if (!key) return;
    const shown = this.showMarks();
    const photo = this.pictures.kept(key);
    if (photo) this.stage.set({ photo });
    else await this.#showPhoto(key);
    await shown;
  }

  /** The open photo in all its pixels, now that somebody looks closely. */
  sharpen() {
    this.#showPhoto(this.current, Math.max(...this.image.size));
  }

  async #showPhoto(key, edge) {
    const photo = await this.pictures.load(key, edge);
    if (key === this.current && photo) this.stage.set({ photo });
  }

  /** Ask for the marks and the mask of the open photo; again, where a mark was made in the meantime. */
  async showMarks() {
    const key = this.current;
    const reply = await this.channel.latest({ do: "open", key, edge: MASK_EDGE });
    if (key !== this.current) return;
    if (reply.state?.revision < this.server.revision) await this.showMarks();
    else this.take(reply);
  }

  step(by) {
    const { order } = this.gallery;
    const at = Math.max(order.indexOf(this.current), by < 0 ? 0 : -1); // one that is not shown lies before the first
    const next = order[(at + by + order.length) % order.length];
    if (next && next !== this.current) this.open(next);
  }

  trouble(trouble) {
    if (trouble)
      this.lost ??= this.notices.show("The connection was lost. Trying again; your marks are kept.", { problem: true });
    else {
      this.lost?.remove();
      this.lost = null;
    }
  }
}

export function mount({ element, host }) {
  const annotator = new Annotator(host);
  element.replaceChildren(annotator.element);
  annotator.start();
  return annotator;
}
