/** What a mark is about: all that looks like it, everywhere, or this one object. */

import { el } from "./dom.js";

const SCOPES = [
  ["everywhere", "Everywhere", "Find all that looks like what you marked, in every photo (S)"],
  ["object", "This object", "In a photo you marked, keep to the very thing your marks are on. Other photos stay as they are (S)"],
];

export class Scope {
  /** `choose(scope)` is called with what is pressed. */
  constructor(choose) {
    this.buttons = new Map(
      SCOPES.map(([scope, text, title]) => [
        scope,
        el("button", { type: "button", text, title, "aria-pressed": "false", on: { click: () => choose(scope) } }),
      ]),
    );
    const attributes = { class: "g-switch g-scope", role: "group", "aria-label": "What a mark finds" };
    this.element = el("div", attributes, ...this.buttons.values());
  }

  show(scope) {
    for (const [name, node] of this.buttons) node.setAttribute("aria-pressed", String(name === scope));
  }
}

/** The other scope. */
export const otherScope = (scope) => (scope === "object" ? "everywhere" : "object");
