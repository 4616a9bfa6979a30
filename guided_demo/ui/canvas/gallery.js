/** The gallery: a thumbnail of every photo with its mask over it; the ones on screen are brought up to date first. */

import { button, el } from "./dom.js";

const EDGE = 256;
const AT_ONCE = 16;
const FEW = 8;

export class Gallery {
  #tiles = new Map(); // key -> {element, open, photo, mask, revision, hasPhoto}
  #visible = new Set();
  #refreshing = false;
  #revision = 0;
  #images = null;
  #current = null;

  /** `read(message)` asks the server; `onOpen(key)` and `onRemove(key)` are the user's wishes. */
  constructor({ read, onOpen, onRemove, onProgress }) {
    Object.assign(this, { read, onOpen, onRemove, onProgress });
    this.element = el("ul", { class: "g-tiles", "aria-label": "Photos" });
    this.observer = new IntersectionObserver((entries) => this.#see(entries), { root: this.element });
  }

  /** Show these images ({key, name, size, marks}), keeping the tiles that are already there. */
  show(images, current) {
    if (images !== this.#images) this.#arrange(images);
    if (current === this.#current && images === this.#images) return;
    for (const [key, tile] of this.#tiles) tile.open.setAttribute("aria-current", String(key === current));
    this.#tiles.get(current)?.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#images = images;
    this.#current = current;
  }

  setMarked(key, isMarked) {
    this.#tiles.get(key)?.element.classList.toggle("g-marked", isMarked);
  }

  #arrange(images) {
    this.element.classList.toggle("g-few", images.length <= FEW);
    const keys = new Set(images.map((image) => image.key));
    for (const [key, tile] of this.#tiles) if (!keys.has(key)) this.#drop(key, tile);
    images.forEach((image, place) => {
      const { element } = this.#tiles.get(image.key) ?? this.#make(image);
      const there = this.element.children[place] ?? null;
      if (there !== element) this.element.insertBefore(element, there);
      this.setMarked(image.key, image.marks > 0);
    });
  }

  /** Masks older than `revision` are out of date: ask for new ones until none is left. */
  async refresh(revision) {
    this.#revision = Math.max(this.#revision, revision);
    if (this.#refreshing) return;
    this.#refreshing = true;
    for (let message = this.#next(); message; message = this.#next()) {
      const reply = await this.read(message);
      if (reply.error) break;
      for (const [key, photo] of Object.entries(reply.photos ?? {})) this.#paintPhoto(key, photo);
      for (const [key, mask] of Object.entries(reply.masks ?? {})) this.#paintMask(key, mask, reply.revision);
      this.onProgress(this.#waiting((tile) => tile.revision < this.#revision).length, this.#tiles.size);
    }
    this.#refreshing = false;
  }

  /** What to ask for next: photos where there are none yet, then masks. */
  #next() {
    const photos = this.#waiting((tile) => !tile.hasPhoto);
    if (photos.length) return { do: "photos", keys: photos.slice(0, AT_ONCE), edge: EDGE };
    const masks = this.#waiting((tile) => tile.revision < this.#revision);
    return masks.length ? { do: "masks", keys: masks.slice(0, AT_ONCE), edge: EDGE } : null;
  }

  /** Keys of the tiles for which `isWaiting`, those on screen first. */
  #waiting(isWaiting) {
    const keys = [...this.#tiles.keys()].filter((key) => isWaiting(this.#tiles.get(key)));
    return keys.sort((a, b) => this.#visible.has(b) - this.#visible.has(a));
  }

  #paintPhoto(key, photo) {
    const tile = this.#tiles.get(key);
    if (!tile) return;
    tile.hasPhoto = true;
    if (photo) tile.photo.src = photo;
  }

  #paintMask(key, mask, revision) {
    const tile = this.#tiles.get(key);
    if (!tile || revision < tile.revision) return;
    tile.revision = revision;
    if (mask) tile.mask.src = mask;
    tile.mask.hidden = !mask;
  }

  #make({ key, name, size }) {
    const photo = el("img", { class: "g-photo", alt: "", draggable: "false" });
    const mask = el("img", { class: "g-mask", alt: "", draggable: "false", hidden: true });
    const open = el("button", { type: "button", class: "g-open", title: name, on: { click: () => this.onOpen(key) } });
    open.append(photo, mask, el("span", { class: "g-name", text: name.split("/").at(-1) }));
    const remove = button("close", "Take this photo out of the gallery", () => this.onRemove(key), {
      class: "g-remove",
    });
    const element = el(
      "li",
      { class: "g-tile", style: `--aspect: ${Math.min(2.5, Math.max(0.5, size[0] / size[1]))}` },
      open,
      remove,
    );
    element.dataset.key = key;
    const tile = { element, open, photo, mask, revision: -1, hasPhoto: false };
    this.#tiles.set(key, tile);
    this.observer.observe(element);
    return tile;
  }

  #drop(key, tile) {
    this.observer.unobserve(tile.element);
    tile.element.remove();
    this.#tiles.delete(key);
    this.#visible.delete(key);
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#visible.add(target.dataset.key);
      else this.#visible.delete(target.dataset.key);
    }
  }
}
