/** The gallery: a tile for every photo. Only those on the screen ask for pictures, masks and what is known of these. */

import { button, el, reveal, rollSideways } from "./dom.js";
import { toldApart } from "./names.js";
import { Picking } from "./picking.js";
import { Sift, needsSummaries, sift } from "./sift.js";
import { Tile } from "./tile.js";

const EDGE = 256;
const AT_ONCE = 16;
const AROUND = 8; // pixels around the tile that is brought into view
const FEW = 8;
const SOON = 48; // of so many photos, all are looked at after every change, not only those on the screen
const NEAR = "160px"; // a tile so far beyond the edge counts as on the screen

export class Gallery {
  order = []; // keys of the photos that are shown
  #tiles = new Map(); // key -> Tile
  #images = [];
  #told = new Map(); // what the photos are called, by their names
  #current = null;
  #colors = {};
  #revision = 0;
  #known = 0; // the revision since which what is covered has not changed, only how it is seen
  #isAsking = false;
  #asked = null; // resolves when all that is asked for is there
  #gatherUntil = 0; // until this time, photos that are not on the screen are asked about, too
  #sorted = -1; // the revision whose masks the order is of, where it depends on them

  /**
   * `read(message)` asks the server. `actions` has what the user wishes: {open(key), remove(keys), correct(key, isCorrect)}.
   * `onProgress(waiting)` is told how many tiles are out of date, `onOrder` that other photos are shown.
   */
  constructor({ read, actions, onProgress, onOrder }) {
    Object.assign(this, { read, actions, onProgress, onOrder });
    this.element = el("ul", { class: "g-tiles", "aria-label": "Photos" });
    const all = button("close", "Show all photos again", () => this.#showAll(), { text: "Show all" });
    rollSideways(this.element); // where they are in one row
    this.none = el("li", { class: "g-none" }, el("p", { text: "No photo is like that." }), all);
    this.picking = new Picking({ shown: () => this.order, takeOut: actions.remove, onChange: () => this.#showPicked() });
    this.sift = new Sift({ onChange: (anew) => this.#siftBy(anew), onSelect: () => this.picking.enter() });
    this.tools = el("div", { class: "g-tile-tools" }, this.sift.element, this.picking.element);
    for (const event of ["pointerleave", "focusout"]) this.element.addEventListener(event, () => this.#sortAgain());
    let width = 0;
    const resized = ([{ contentRect }]) => {
      const isTurned = contentRect.width !== width; // a phone, or a window made narrower; else something came above or below
      width = contentRect.width;
      if (isTurned || !this.element.matches(":hover, :focus-within")) this.#reveal();
    };
    new ResizeObserver(resized).observe(this.element);
    this.observer = new IntersectionObserver((entries) => this.#see(entries), { root: this.element, rootMargin: NEAR });
  }

  /** Show these images ({key, name, size, marks, correct}), keeping the tiles that are already there. */
  show(images, current, classes) {
    this.#colors = Object.fromEntries(classes.map(({ name, color }) => [name, color]));
    if (this.sift.show(classes)) this.#images = [];
    this.sift.select.disabled = !images.length;
    const [hasMoved, isNew] = [current !== this.#current, images !== this.#images];
    this.#tiles.get(this.#current)?.open.setAttribute("aria-current", "false");
    this.#current = current;
    if (isNew) this.#take(images);
    if (isNew || hasMoved) this.#arrange();
    const tile = this.#tiles.get(current);
    tile?.open.setAttribute("aria-current", "true");
    if (isNew || hasMoved) this.#reveal();
  }

  /** Scroll to the open photo, if it is among those that are shown. */
  #reveal() {
    const tile = this.#tiles.get(this.#current)?.element;
    if (tile?.isConnected) reveal(tile, this.element, AROUND);
  }

  /** The small picture of a photo, or null. */
  picture(key) {
    return this.#tiles.get(key)?.picture ?? null;
  }

  /** What the photo of a name is called here, where other photos may have the same in other folders. */
  told(name) {
    return this.#told.get(name) ?? "";
  }

  setMarked(key, isMarked) {
    this.#tiles.get(key)?.setMarked(isMarked);
  }

  /** Masks older than `revision` are out of date: ask for those on the screen until none is. What they cover is, too, unless the
   * masks are just seen in another way. */
  refresh(revision, isJustSeen = false) {
    const steps = revision - this.#revision;
    if (steps > 0) this.#revision = revision;
    if (steps > 0 && !(isJustSeen && steps === 1)) this.#known = revision;
    if (!this.#isAsking) this.#asked = this.#ask();
    return this.#asked;
  }

  /** {key, name, told, isSettled, summary} of the photos looked at since the last change; null while more are looked at. */
  known() {
    if (this.#isAsking) return null;
    const isKnown = ({ key }) => this.#tiles.get(key).summary && this.#tiles.get(key).known >= this.#known;
    const known = ({ key, name }) => {
      const { isSettled, summary } = this.#tiles.get(key);
      return { key, name, told: this.told(name), isSettled, summary };
    };
    return this.#images.filter(isKnown).map(known);
  }

  /** The least sure of what is known of photos whose masks are not settled, `except` those: {key, click}. Looks for `seconds`. */
  async leastSure(except, seconds) {
    this.#gatherUntil = performance.now() + 1000 * seconds;
    await this.refresh(0);
    const isOpen = (tile) => tile?.summary && !tile.isSettled;
    const asked = this.#images.filter(({ key }) => !except.has(key) && isOpen(this.#tiles.get(key)));
    const doubt = ({ key }) => this.#tiles.get(key).summary.uncertainty;
    const [first] = asked.sort((a, b) => doubt(b) - doubt(a));
    return first && { key: first.key, click: this.#tiles.get(first.key).summary.click };
  }

  /** Show what is wished for, as far as is known; where that takes all masks, `anew`, and again when they are known. */
  async #siftBy(anew) {
    const { wish } = this.sift;
    this.#arrange(true);
    this.element.scrollTo(0, 0);
    if (!anew && !wish.text) this.#reveal(); // the search is over: back to what was at work
    this.#sorted = this.#revision;
    if (!anew || !needsSummaries(wish)) return;
    await this.refresh(0);
    if (wish === this.sift.wish) this.#arrange(true);
  }

  #showAll() {
    this.sift.reset();
    this.#siftBy(false);
  }

  /** Masks have changed: sort by what is known now, the photo at work first, unless somebody's hand is on the tiles. */
  #sortAgain() {
    if (!needsSummaries(this.sift.wish) || this.#isAsking || this.#sorted >= this.#known) return;
    if (this.element.matches(":hover, :focus-within")) return;
    this.#sorted = this.#revision;
    this.#arrange(true, this.#current);
    this.element.scrollTo(0, 0); // where that photo is now
  }

  /** Photos that are shown keep their places, unless `again`; the one of the key `kept` is shown even if it does not fit. */
  #arrange(again = false, kept = again ? null : this.#current) {
    const before = new Map(this.order.map((key, place) => [key, place]));
    if (!before.has(kept)) kept = null;
    const summary = (key) => this.#tiles.get(key)?.summary;
    this.order = sift(this.#images, this.sift.wish, summary, kept).map(({ key }) => key);
    const place = (key) => (again ? Number(key !== kept) : (before.get(key) ?? before.size));
    if (this.sift.wish.order === "help") this.order.sort((a, b) => place(a) - place(b));
    const nodes = this.order.map((key) => this.#tiles.get(key).element);
    if (this.#images.length && !nodes.length) nodes.push(this.none);
    const wanted = new Set(nodes);
    let left = null; // where the focus was on a tile that goes
    for (const node of [...this.element.children]) {
      if (wanted.has(node)) continue;
      if (node.contains(document.activeElement)) left = [...this.element.children].indexOf(node);
      node.remove();
    }
    nodes.forEach((node, place) => {
      const there = this.element.children[place] ?? null;
      if (there !== node) this.element.insertBefore(node, there);
    });
    if (left !== null) (nodes[left] ?? nodes.at(-1))?.querySelector("button").focus({ preventScroll: true });
    this.element.classList.toggle("g-few", nodes.length <= FEW);
    this.picking.keep(new Set(this.order)); // what is not seen must not be taken out with the rest
    this.onOrder();
  }

  async #ask() {
    this.#isAsking = true;
    for (let message = this.#next(); message; message = this.#next()) {
      const reply = await this.read(message);
      if (reply.error || !(message.do in reply)) break; // else this would be asked for ever
      const { photos = {}, masks = {}, summaries = {}, revision, view } = reply;
      for (const [key, photo] of Object.entries(photos)) this.#tiles.get(key)?.showPhoto(photo);
      for (const [key, mask] of Object.entries(masks)) this.#tiles.get(key)?.showMask(mask, revision, view);
      for (const [key, summary] of Object.entries(summaries))
        this.#tiles.get(key)?.showSummary(summary, revision, this.#colors);
      this.onProgress(this.#keys((tile) => tile.isVisible && tile.revision < this.#revision).length + this.#gathering);
    }
    this.#gatherUntil = 0;
    this.#isAsking = false;
    this.#sortAgain();
    this.onProgress(0);
  }

  /** What to ask for next: pictures on the screen where there are none yet, then masks, then what is known of the rest. */
  #next() {
    const photos = this.#keys((tile) => tile.isVisible && !tile.hasPhoto);
    if (photos.length) return { do: "photos", keys: photos.slice(0, AT_ONCE), edge: EDGE };
    const masks = this.#keys((tile) => tile.isVisible && tile.revision < this.#revision);
    if (masks.length) return { do: "masks", keys: masks.slice(0, AT_ONCE), edge: EDGE };
    if (!this.#gathering) return null;
    const unknown = this.#keys((tile) => tile.known < this.#known);
    return unknown.length ? { do: "summaries", keys: unknown.slice(0, 2 * AT_ONCE) } : null;
  }

  /** Whether photos that are not on the screen are looked at now: 1 or 0. */
  get #gathering() {
    // Those on the screen come first, so it must be known which these are.
    const isSmall = this.#images.length <= SOON && this.#keys((tile) => tile.isVisible).length > 0;
    const isKept = isSmall || needsSummaries(this.sift.wish);
    return Number(isKept || performance.now() < this.#gatherUntil);
  }

  #keys(isMeant) {
    return [...this.#tiles].filter(([, tile]) => isMeant(tile)).map(([key]) => key);
  }

  #take(images) {
    this.#images = images;
    const keys = new Set(images.map((image) => image.key));
    for (const [key, tile] of this.#tiles) {
      if (keys.has(key)) continue;
      this.observer.unobserve(tile.element);
      this.#tiles.delete(key);
    }
    this.#told = toldApart(images.map(({ name }) => name));
    for (const image of images) {
      const tile = this.#tiles.get(image.key) ?? this.#make(image);
      tile.call(this.told(image.name));
      tile.setMarked(image.marks > 0);
      tile.setCorrect(image.correct);
    }
  }

  #make(image) {
    const { actions, picking } = this;
    const tile = new Tile(image, {
      click: (key, event) => picking.click(key, event) || actions.open(key),
      pick: (key) => picking.toggle(key),
      remove: (key) => actions.remove([key]),
      correct: (key, isCorrect) => actions.correct(key, isCorrect),
    });
    this.#tiles.set(image.key, tile);
    this.observer.observe(tile.element);
    return tile;
  }

  #showPicked() {
    const { picking, sift } = this;
    for (const [key, tile] of this.#tiles) tile.setPicked(picking.keys.has(key));
    this.element.classList.toggle("g-picks", picking.isOn);
    const [shown, left] = picking.isOn ? [picking, sift] : [sift, picking];
    const hadFocus = left.element.contains(document.activeElement);
    shown.element.hidden = false;
    left.element.hidden = true;
    if (hadFocus) shown.select.focus({ preventScroll: true });
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      const tile = this.#tiles.get(target.dataset.key);
      if (tile) tile.isVisible = isIntersecting;
    }
    this.refresh(0);
  }
}
