/** Where a click would help most: the ring on the photo, and which photo comes next. */

import { el } from "./dom.js";

const LOOK_SECONDS = 1.5;

export class Suggestion {
  key = null; // of the photo that the ring is on
  #click = null;
  #shown = new Set(); // photos that were suggested since the last mark

  /** `find(except, seconds)` gives {key, click} of the photo that is the least sure, but those; `open(key)` opens it. */
  constructor({ find, open }) {
    Object.assign(this, { find, open });
    this.element = el("div", { class: "g-ring-here", hidden: true, "aria-hidden": "true" });
  }

  /** Open the next photo that a click would help, and show where. Says whether there is one. */
  async next() {
    let found = await this.find(this.#shown, LOOK_SECONDS);
    if (!found && this.#shown.size) {
      this.#shown.clear();
      found = await this.find(this.#shown, LOOK_SECONDS);
    }
    if (!found) return false;
    this.#shown.add(found.key);
    this.open(found.key);
    this.key = found.key;
    this.#click = found.click;
    this.element.hidden = false;
    return true;
  }

  /** A mark was made: what helps most is to be asked anew. */
  forget() {
    this.#shown.clear();
    this.hide();
  }

  hide() {
    this.key = null;
    this.element.hidden = true;
  }

  /** Keep the ring at its place in the photo as `view` moves. */
  follow(view) {
    if (this.key === null) return;
    const [x, y] = view.toStage(...this.#click);
    this.element.style.translate = `${x}px ${y}px`;
  }
}
