/** Photos of the gallery that are selected together, and what can be done with them. */

import { button, el, isTouch } from "./dom.js";

export class Picking {
  keys = new Set();
  isOn = false; // while it is, a click selects instead of opening
  #anchor = null; // where a range begins

  /** `shown()` gives the keys of the photos that are shown; `takeOut(keys)` removes some; `onChange()` is told of changes. */
  constructor({ shown, takeOut, onChange }) {
    Object.assign(this, { shown, onChange });
    this.takeOut = () => {
      takeOut([...this.keys]);
      this.leave();
    };
    this.number = el("span", { class: "g-number", role: "status" });
    this.remove = button("clear", "Take the selected photos out of the gallery (Delete); undo brings them back", this.takeOut, {
      text: "Take out",
    });
    this.select = button("select", "Select all photos that are shown", () => this.#set(this.shown()), { text: "All" });
    this.element = el(
      "div",
      { class: "g-picking", role: "group", "aria-label": "Selected photos", hidden: true },
      this.number,
      this.select,
      this.remove,
      button("close", "Select nothing (Esc)", () => this.leave()),
    );
  }

  /** Take a click on a photo if it selects; else say false. */
  click(key, { shiftKey, ctrlKey, metaKey }) {
    const shown = this.shown();
    if (shiftKey) {
      const ends = [shown.indexOf(this.#anchor), shown.indexOf(key)].sort((a, b) => a - b);
      this.#set([...this.keys, ...shown.slice(Math.max(ends[0], 0), ends[1] + 1)]);
      return true;
    }
    this.#anchor = key;
    if (!(ctrlKey || metaKey || this.isOn)) return false;
    this.toggle(key);
    return true;
  }

  toggle(key) {
    this.#anchor = key;
    this.#set(this.keys.has(key) ? [...this.keys].filter((other) => other !== key) : [...this.keys, key]);
  }

  enter() {
    this.#set([...this.keys]);
  }

  leave() {
    this.#set([], false);
  }

  /** Forget the photos that are not among `keys`. */
  keep(keys) {
    if ([...this.keys].some((key) => !keys.has(key))) this.#set([...this.keys].filter((key) => keys.has(key)), this.isOn);
  }

  #set(keys, isOn = true) {
    this.keys = new Set(keys);
    this.isOn = isOn;
    const { size } = this.keys;
    this.number.textContent = size ? `${size} selected` : `${isTouch() ? "Tap" : "Click"} photos`;
    this.remove.disabled = !size;
    this.onChange();
  }
}
