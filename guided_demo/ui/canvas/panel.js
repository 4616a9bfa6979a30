/** A button that opens a panel of controls; a click elsewhere, or Escape, closes it. */

import { el, opener } from "./dom.js";

const GAP = 6;

export class Panel {
  /** `options` are those of `button`; `children` are what the panel holds. */
  constructor(name, tip, { label, ...options }, ...children) {
    this.element = el("div", { class: "g-panel", popover: "auto", role: "group", "aria-label": label }, ...children);
    this.button = opener(name, tip, this.element, () => this.#place(), { ...options, label });
  }

  /** Above the button, from its left edge on, but never over the edge of the window. */
  #place() {
    const { top, left } = this.button.getBoundingClientRect();
    const { style } = this.element;
    style.bottom = `${window.innerHeight - top + GAP}px`;
    style.left = `max(${GAP}px, min(${left}px, 100% - var(--wide) - ${GAP}px))`;
    style.maxHeight = `${top - 2 * GAP}px`;
  }
}
