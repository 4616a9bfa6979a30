/** The line above the gallery: in how many photos a class is found, as far as is known, and which photo is the least sure. */

import { el, short } from "./dom.js";
import { BACKGROUND } from "./marks.js";
import { Cut } from "./names.js";

const FOUND = 0.01; // a class that covers less of a photo than this is hardly found in it
export const TRACE = 0.001;
const ABOUT = "Counted where the class covers 1 % of the photo or more; a trace is less. Whether it is right, only you can tell.";

/** What is so of a class, in a sentence of three parts: its name, the number, and what may be left out where there is no room.
 * `seen` has what is known of photos, {shares, …} each, of `total` there are. */
export function finding(name, seen, total) {
  const share = ({ shares }) => shares[name] ?? 0;
  const found = seen.filter((summary) => share(summary) >= FOUND).length;
  const traces = seen.filter((summary) => share(summary) >= TRACE).length - found;
  const photos = total === 1 ? "photo" : "photos";
  const isPart = seen.length < total;
  const number = ` in ${found || "none"} of ${isPart ? seen.length : total} ${photos}`;
  return [short(name, 20), number, `${isPart ? " looked at" : ""}${traces ? `, a trace in ${traces}` : ""}`];
}

export class Found {
  #doubtful = null; // the key of the photo that is the least sure

  /** `open(key)` opens a photo. */
  constructor({ open }) {
    this.parts = ["g-class", "g-number-of", "g-rest"].map((name) => el("span", { class: name }));
    this.text = el("span", { class: "g-told", role: "status" }, ...this.parts);
    this.name = new Cut("g-doubtful");
    this.check = el("button", { type: "button" }, el("span", { class: "g-lead", text: "Least sure: " }), this.name.element);
    this.check.addEventListener("click", () => open(this.#doubtful));
    this.element = el("div", { class: "g-found" }, this.text, this.check);
    this.#paint([], null);
  }

  /** `known` has {key, name, told, isSettled, summary} of photos looked at since the last change; null while more are. */
  show({ marked, active, known, total }) {
    const guided = marked.filter((name) => name !== BACKGROUND);
    if (!total || !guided.length) return this.#paint(total ? ["Nothing is marked yet."] : [], null);
    if (!known?.length) return;
    const summaries = known.map(({ summary }) => summary);
    const open = known.filter(({ isSettled }) => !isSettled);
    const [first] = open.sort((a, b) => b.summary.uncertainty - a.summary.uncertainty);
    this.#paint(finding(guided.includes(active) ? active : guided[0], summaries, total), total > 1 ? first : null);
  }

  #paint(said, doubtful) {
    const text = said.join("");
    if (this.text.textContent !== text) this.parts.forEach((part, i) => (part.textContent = said[i] ?? ""));
    this.text.title = `${text}\n${ABOUT}`; // all of it, where there was no room
    this.#doubtful = doubtful?.key ?? null;
    this.check.hidden = !doubtful;
    if (!doubtful) return;
    this.name.show(doubtful.told);
    this.check.setAttribute("aria-label", `Least sure: ${doubtful.name}`);
    this.check.title = `Open the photo whose masks are the least sure\n${doubtful.name}`;
  }
}
