/** A photo of the gallery: its picture, its masks, what they cover, how sure they are, and what can be done with it. */

import { button, el } from "./dom.js";
import { BACKGROUND } from "./marks.js";
import { Cut } from "./names.js";

const LONG_PRESS = 450;
const KEPT = 0.9; // of masks that were said to be correct, as IoU: with less, they are others
const CHANGED = "Said to be correct, and changed by later marks; press twice to say it of these masks (C)";
// A name that is read from right to left would take the number after it to its other side.
const apart = (name) => `\u2068${name}\u2069`;
const percent = (share) => `${share > 0 && share < 0.01 ? "<1" : Math.round(100 * share)} %`;

export class Tile {
  revision = -1; // of the mask
  known = -1; // of the summary
  hasPhoto = false;
  isVisible = false;
  summary = null;
  #told = "";
  #isMarked = false;
  #isCorrect = false;

  /** `actions` has {click(key, event), pick(key), remove(key), correct(key, isCorrect)}. */
  constructor({ key, name, size }, actions) {
    this.name = name;
    this.photo = el("img", { class: "g-photo", alt: "", draggable: "false" });
    this.mask = el("img", { class: "g-mask", alt: "", draggable: "false", hidden: true });
    this.doubt = el("span", { class: "g-doubt" });
    this.shares = el("span", { class: "g-shares", "aria-hidden": "true" });
    this.open = el("button", { type: "button", class: "g-open" });
    this.caption = new Cut("g-name");
    const below = el("span", { class: "g-caption" }, this.caption.element, this.doubt);
    this.open.append(this.photo, this.mask, below, this.shares);
    this.open.addEventListener("click", (event) => actions.click(key, event));
    const pick = button("tick", "Select this photo", () => actions.pick(key), {
      label: `Select ${name}`,
      class: "g-pick",
      tabindex: "-1",
    });
    const remove = button("close", "Take this photo out of the gallery", () => actions.remove(key), {
      label: `Take ${name} out of the gallery`,
      class: "g-remove",
    });
    this.tick = button("tick", "", () => actions.correct(key, !this.#isCorrect), { class: "g-tick" });
    const aspect = Math.min(2.5, Math.max(0.5, size[0] / size[1]));
    this.element = el("li", { class: "g-tile", style: `--aspect: ${aspect}` }, this.open, pick, remove, this.tick);
    this.element.dataset.key = key;
    holds(this.open, () => actions.pick(key));
    this.#tell();
  }

  /** What the photo is called below its picture. */
  call(told) {
    if (told === this.#told) return;
    this.#told = told;
    this.caption.show(told);
    this.open.style.setProperty("--letters", told.length);
  }

  setMarked(isMarked) {
    this.element.classList.toggle("g-marked", isMarked);
    this.#isMarked = isMarked;
    this.#tell();
  }

  setCorrect(isCorrect) {
    this.element.classList.toggle("g-correct", isCorrect);
    this.tick.setAttribute("aria-pressed", String(isCorrect));
    this.tick.setAttribute("aria-label", `The masks of ${this.name} are correct`);
    this.#isCorrect = isCorrect;
    this.#tell();
  }

  /** Whether the masks are no longer what was said to be correct: later marks have changed them. */
  get #hasChanged() {
    return this.#isCorrect && this.summary?.kept < KEPT;
  }

  /** Whether somebody looked at these masks and found them correct, so that nothing is left to do. */
  get isSettled() {
    return this.#isCorrect && !this.#hasChanged;
  }

  setPicked(isPicked) {
    this.element.classList.toggle("g-picked", isPicked);
    if (isPicked) this.open.setAttribute("aria-description", "selected");
    else this.open.removeAttribute("aria-description");
  }

  /** The small picture, as far as it is there. */
  get picture() {
    return this.photo.complete && this.photo.naturalWidth ? this.photo : null;
  }

  showPhoto(source) {
    this.hasPhoto = true;
    if (source) this.photo.src = source;
  }

  showMask(source, revision, view) {
    if (revision < this.revision) return;
    this.revision = revision;
    this.element.dataset.view = source ? view : ""; // without a mask, it is the photo that is seen, as on the stage
    if (source) this.mask.src = source;
    this.mask.hidden = !source;
  }

  /** `summary` has {shares, uncertainty, click}, and kept where masks were said to be correct, or is null where nothing is marked;
   * `colors` those of the classes. */
  showSummary(summary, revision, colors) {
    if (revision < this.known) return;
    this.known = revision;
    this.summary = summary;
    this.doubt.textContent = summary ? percent(summary.uncertainty) : "";
    if (summary) this.doubt.append(el("span", { text: " unsure" }));
    const bars = this.#found.map(([name, share]) =>
      el("i", { style: `width: ${(100 * share).toFixed(1)}%; background: ${colors[name]}` }),
    );
    this.shares.replaceChildren(...bars);
    this.#tell();
  }

  /** The classes but the background with their share of the photo. */
  get #found() {
    return Object.entries(this.summary?.shares ?? {}).filter(([name, share]) => name !== BACKGROUND && share > 0);
  }

  /** What the tile says to a pointer that rests on it, and to who cannot see it. */
  #tell() {
    const shares = this.#found.map(([name, share]) => `${apart(name)} ${percent(share)}`);
    const facts = [
      this.#isMarked && "marked",
      this.#isCorrect && (this.#hasChanged ? "said to be correct, and changed since" : "said to be correct"),
      this.summary && (shares.join(", ") || "nothing found"),
      this.summary && `${percent(this.summary.uncertainty)} unsure: how undecided the masks are`,
    ];
    const said = this.#hasChanged ? CHANGED : "Said to be correct; press to take that back (C)";
    this.tick.title = this.#isCorrect ? said : "These masks are correct (C)";
    this.element.classList.toggle("g-changed", this.#hasChanged);
    this.open.title = [this.name, ...facts.filter(Boolean)].join("\n");
    this.open.setAttribute("aria-label", [this.name, ...facts.filter(Boolean)].join(", "));
  }
}

/** Call `held` when a finger rests on `node`; no click follows. */
function holds(node, held) {
  let timer = 0;
  let wasHeld = false;
  const end = () => clearTimeout(timer);
  node.addEventListener("pointerdown", (event) => {
    wasHeld = false;
    if (event.pointerType !== "touch") return;
    timer = setTimeout(() => {
      wasHeld = true;
      held();
    }, LONG_PRESS);
  });
  for (const event of ["pointerup", "pointercancel", "pointerleave"]) node.addEventListener(event, end);
  node.addEventListener("contextmenu", (event) => event.preventDefault());
  node.addEventListener("touchend", (event) => wasHeld && event.preventDefault()); // else what has come below it is clicked
}
