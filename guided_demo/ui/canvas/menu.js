/** A button that opens a list of choices, each with a title and a line that says what it is. */

import { el, opener } from "./dom.js";

const GAP = 6;

export class Menu {
  /** `options` are those of `button`. */
  constructor(name, tip, options) {
    this.list = el("div", { class: "g-menu", role: "menu", popover: "auto", "aria-label": options.label });
    this.button = opener(name, tip, this.list, () => this.#place(), { ...options, "aria-haspopup": "menu" });
    this.list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show these groups of choices: [[heading, [{title, about, disabled, choose}, …]], …]. */
  show(groups) {
    this.list.replaceChildren(
      ...groups.map(([heading, items]) =>
        el(
          "div",
          { role: "group", "aria-label": heading },
          el("div", { class: "g-heading", role: "presentation", text: heading }),
          ...items.map((item) => this.#item(item)),
        ),
      ),
    );
    // Focused by the browser as it opens: the event "toggle" comes later, perhaps after the next key.
    this.#choices[0]?.setAttribute("autofocus", "");
  }

  #item({ title, about, disabled, choose }) {
    const attributes = { type: "button", role: "menuitem", title: about, disabled, tabindex: "-1" };
    const node = el("button", attributes, el("strong", { text: title }), el("span", { text: about }));
    node.addEventListener("click", () => {
      this.list.hidePopover();
      choose();
    });
    return node;
  }

  /** Above the button or below it, where there is more room; up to its right edge, but never over the edge of the window. */
  #place() {
    const { top, bottom, right } = this.button.getBoundingClientRect();
    const below = window.innerHeight - bottom;
    const { style } = this.list;
    style.left = `max(${GAP}px, min(${right}px, 100% - ${GAP}px) - var(--wide))`;
    style.top = below > top ? `${bottom + GAP}px` : "auto";
    style.bottom = below > top ? "auto" : `${below + (bottom - top) + GAP}px`;
    style.maxHeight = `${Math.max(top, below) - 2 * GAP}px`;
  }

  get #choices() {
    return [...this.list.querySelectorAll("button:not(:disabled)")];
  }

  #key(event) {
    event.stopPropagation();
    const choices = this.#choices;
    const at = choices.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Tab") this.list.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    choices.at(to % choices.length)?.focus();
  }
}
