/** The line above the photo: what to do next; on somebody's first visit, the three steps of the whole job. */

import { button, el, isTouch, short } from "./dom.js";
import { BACKGROUND } from "./marks.js";

const SEEN = "guided-demo-first-run";
const NAME = 16; // letters of a class, so that a line on a desk and two on a phone hold the sentence

/** `state` is the server's, with `active` (the class), `current` (the image), `tool`, `canAdd` and `suggested`. */
export function hint({ images, classes, marked, active, current, tool, canAdd, suggested }) {
  const click = isTouch() ? "Tap" : "Click";
  if (!images.length && !canAdd) return "There are no photos.";
  if (!images.length) return isTouch() ? "Tap Add photos to begin." : "Drop photos here, or press Add photos.";
  if (classes.length < 2) return "Add a class first: a name for what you want to find.";
  if (suggested)
    return isTouch() || active === BACKGROUND
      ? `Choose the class of what is in the ring, then ${click.toLowerCase()} there.`
      : `Click in the ring if that is “${short(active, NAME)}”, right-click if it is background.`;
  if (tool === "polygon") return `${click} the corners; ${click.toLowerCase()} the first again to finish.`;
  if (marked.every((name) => name === BACKGROUND))
    return active === BACKGROUND
      ? `${click} on something that is not wanted, or choose a class.`
      : `${click} on “${short(active, NAME)}” in a photo. It is then looked for in all.`;
  if (!marked.includes(BACKGROUND))
    return isTouch()
      ? "Covers too much? Choose background, then tap there."
      : "Covers too much? Right-click there, and all masks improve.";
  if (current && !current.marks) return `Right already? Good. If not, ${click.toLowerCase()} where it is wrong.`;
  return "Correct what is still wrong, in any photo. Then download the masks.";
}

const STEPS = [
  ({ active }) => `${isTouch() ? "Tap" : "Click"} on “${short(active, NAME)}”, anywhere on it.`,
  () =>
    isTouch()
      ? "Wrong? Choose background, then tap there."
      : "Something missing? Click it, in any photo. Too much? Right-click it.",
  () => "Download the masks, or add your own photos.",
];

export class Hint {
  #step = null; // of the first run, from 0; null where there is none
  #state = null;

  /** `firstRun`: whether somebody who is new here is to be shown around; `point(step)` is called when they are, `leave()` when the
   * button that has the focus goes. */
  constructor({ firstRun = false, point = () => {}, leave = () => {} } = {}) {
    this.mayRun = firstRun;
    Object.assign(this, { point, leave });
    this.count = el("span", { class: "g-step", hidden: true });
    this.text = el("span", { role: "status", text: "Loading …" });
    this.next = button("next", "Nothing is wrong: the next step", () => this.#go(2), { text: "Next", hidden: true });
    this.skip = button("close", "Skip the introduction", () => this.end(), { hidden: true });
    this.element = el("div", { class: "g-hint" }, this.count, this.text, this.next, this.skip);
  }

  show(state) {
    const isFirst = this.#state === null;
    this.#state = state;
    if (isFirst && this.mayRun && isNew(state)) this.#go(0);
    if (this.#step !== null && !state.samples.length) return this.end(); // own photos are here
    if (this.#step !== null && this.#step < 2) this.#follow();
    this.#paint();
  }

  /** What the person did besides marking: took something away, or brought something. */
  acted() {
    if (this.#step !== null) this.end();
  }

  end() {
    localStorage.setItem(SEEN, "yes");
    this.#go(null);
  }

  /** The step that fits what is marked by now. */
  #follow() {
    const { marked, images } = this.#state;
    const count = images.reduce((sum, image) => sum + image.marks, 0);
    const isFound = marked.some((name) => name !== BACKGROUND);
    const step = !isFound ? 0 : count > 1 ? 2 : 1;
    if (step !== this.#step) this.#go(step);
  }

  #go(step) {
    this.#step = step;
    this.point(step);
    this.#paint();
  }

  #paint() {
    const isRun = this.#step !== null;
    const focused = [this.next, this.skip].find((node) => node === document.activeElement);
    const { suggested, tool } = this.#state;
    const isHow = suggested || tool === "polygon"; // how it is done comes before what is next
    this.text.textContent = isRun && !isHow ? STEPS[this.#step](this.#state) : hint(this.#state);
    this.count.textContent = isRun ? `${this.#step + 1} of ${STEPS.length}` : "";
    this.count.hidden = this.skip.hidden = !isRun;
    this.next.hidden = this.#step !== 1;
    if (focused?.hidden) this.leave();
  }
}

/** Nobody who has been here before, or has marked or brought something, is shown around. */
function isNew({ images, samples, classes, marked, undo }) {
  const asFound = images.length > 0 && images.length === samples.length && classes.length > 1;
  return asFound && !marked.length && !undo && localStorage.getItem(SEEN) === null;
}
