/** Which photos of the gallery are shown, and in what order: the fields, and what follows from them. */

import { button, el } from "./dom.js";
import { TRACE } from "./found.js";
import { BACKGROUND } from "./marks.js";
import { byName } from "./names.js";

const ORDERS = [
  ["added", "As added"],
  ["name", "By name"],
  ["help", "Where a click helps most"],
];
const KINDS = [
  ["all", "All photos"],
  ["marked", "Marked"],
  ["unmarked", "Not marked"],
  ["correct", "Marked as correct"],
];
const CLASS = "class ";
const nameOf = (kind) => kind.slice(CLASS.length);

// An accent may be a character of its own: names from a Mac have it so, and keyboards write it so nowhere.
const plain = (text) => text.normalize("NFC").toLowerCase();

// `was` is what the class of a kind was called before it was renamed: what is known of masks may still call it so.
export const EVERYTHING = { text: "", kind: "all", was: "all", order: "added" };

/** Whether it takes the summaries of all photos to tell which are shown. */
export const needsSummaries = ({ kind, order }) => order === "help" || kind.startsWith(CLASS);

/**
 * The `images` that `wish` is for, and the one of the key `kept`, in their order. `summary(key)` gives what is known of the
 * masks of one, if anything. Where a click helps most, the masks are the least sure; those said to be correct come last.
 */
export function sift(images, { text, kind, was, order }, summary, kept = null) {
  const words = plain(text).split(/\s+/);
  const fits = {
    all: () => true,
    marked: (image) => image.marks > 0,
    unmarked: (image) => !image.marks,
    correct: (image) => image.correct,
  };
  const has = (image) => {
    const shares = summary(image.key)?.shares ?? {};
    return (shares[nameOf(kind)] ?? shares[nameOf(was)] ?? 0) >= TRACE;
  };
  const isNamed = (image) => {
    const name = plain(image.name);
    return words.every((word) => name.includes(word));
  };
  const shown = images.filter((image) => image.key === kept || (isNamed(image) && (fits[kind] ?? has)(image)));
  const doubt = ({ key, correct }) => (correct ? -1 : (summary(key)?.uncertainty ?? 0));
  if (order === "name") shown.sort(byName);
  if (order === "help") shown.sort((a, b) => doubt(b) - doubt(a));
  return shown;
}

export class Sift {
  wish = EVERYTHING;
  #kinds = []; // of photos, by the class that they are with

  /** `onChange(anew)` is called when `wish` has changed, `anew` if by more than a name; `onSelect` when several photos are to
   * be selected. */
  constructor({ onChange, onSelect }) {
    const change = (wish) => {
      this.wish = { ...this.wish, ...wish };
      onChange(!("text" in wish));
    };
    const find = "Find photos by name";
    const text = { type: "search", placeholder: "Find …", title: find, "aria-label": find, maxlength: "80" };
    this.text = el("input", { ...text, on: { input: () => change({ text: this.text.value.trim() }) } });
    this.text.addEventListener("keydown", (event) => event.stopPropagation());
    this.kind = choice("Which photos are shown", KINDS, (kind) => change({ kind, was: kind }));
    this.order = choice("Order of the photos", ORDERS, (order) => change({ order }));
    const tip = "Select several photos; or click them with Ctrl or Shift held, or hold a finger on one";
    this.select = button("select", tip, onSelect, { label: "Select photos" });
    this.element = el("div", { class: "g-sift" }, this.text, this.kind, this.order, this.select);
  }

  /** Offer these classes to choose photos by. One that is renamed stays chosen. Says whether the one chosen is gone, and what was
   * wished of it. */
  show(classes) {
    const names = classes.map(({ name }) => name).filter((name) => name !== BACKGROUND);
    const kinds = names.map((name) => CLASS + name);
    if (JSON.stringify(kinds) === JSON.stringify(this.#kinds)) return false;
    const place = this.#kinds.length === kinds.length ? this.#kinds.indexOf(this.wish.kind) : -1; // a new name leaves it there
    if (place >= 0) this.wish = { ...this.wish, kind: kinds[place], was: this.wish.kind };
    this.#kinds = kinds;
    const options = names.map((name, i) => el("option", { value: kinds[i], text: `With ${name}` }));
    this.kind.replaceChildren(...KINDS.map(([value, text]) => el("option", { value, text })), ...options);
    this.kind.value = this.wish.kind;
    if (this.kind.value) return false;
    this.wish = { ...this.wish, kind: EVERYTHING.kind, was: EVERYTHING.was };
    this.kind.value = EVERYTHING.kind;
    return true;
  }

  reset() {
    this.wish = EVERYTHING;
    this.text.value = "";
    this.kind.value = EVERYTHING.kind;
    this.order.value = EVERYTHING.order;
  }
}

function choice(label, options, onChoose) {
  const nodes = options.map(([value, text]) => el("option", { value, text }));
  const node = el("select", { "aria-label": label, title: label }, ...nodes);
  node.addEventListener("change", () => onChoose(node.value));
  return node;
}
