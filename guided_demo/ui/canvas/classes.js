/** The named classes as coloured chips: choose one by clicking or by its number; rename, recolour, add, remove. */

import { button, el, reveal, rollSideways } from "./dom.js";
import { BACKGROUND } from "./marks.js";

const ARROWS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const FADE = 11; // before what stays in sight, where there is room
const EDGE = 5; // around a chip, where it is marked as chosen and as the one that hears keys

export class Classes {
  #editing = null; // while the form is there, what ends its hearing of the page
  #shown = "";

  /** `actions` has {choose(name), add(name), rename(old, new), recolor(name, color), remove(name)}. */
  constructor(actions) {
    this.actions = actions;
    this.list = el("div", { class: "g-chips", role: "radiogroup", "aria-label": "Class to mark" });
    this.element = el("div", { class: "g-classes" }, this.list);
    rollSideways(this.element);
    this.element.addEventListener("scroll", () => this.#fade());
    // A phone is turned, a window made narrower.
    new ResizeObserver(() => this.#editing || this.#revealActive()).observe(this.element);
    // Under a mouse that is pressed, nothing moves: it would be let go elsewhere.
    this.list.addEventListener("focusin", ({ target }) => target.matches(":focus-visible") && this.#reveal(target));
    this.list.addEventListener("keydown", (event) => this.#key(event));
  }

  show(classes, active) {
    this.classes = classes;
    this.active = active;
    const shown = JSON.stringify([classes, active]);
    if (this.#editing || !classes.length || shown === this.#shown) return;
    this.#shown = shown;
    const [background, ...others] = classes;
    const chips = others.map((item, i) => this.#chip(item, i + 1));
    const add = button("in", "Add a class: another kind of thing to find", () => this.#edit(null), {
      text: "Add class",
      class: "g-add",
    });
    const focused = this.list.contains(document.activeElement) && document.activeElement.dataset;
    this.kept = el("span", { class: "g-kept" }, this.#chip(background, 0), add); // in sight wherever the others are scrolled to
    this.list.replaceChildren(...chips, this.kept);
    const chipOf = (name) => [...this.list.querySelectorAll("[data-name]")].find(({ dataset }) => dataset.name === name);
    if (focused) (chipOf(focused.name) ?? chipOf(active))?.focus({ preventScroll: true });
    this.#revealActive();
  }

  #revealActive() {
    const chip = this.list.querySelector(".g-active");
    if (chip) this.#reveal(chip);
    this.#fade();
  }

  /** Show whether classes go on below what stays in sight. */
  #fade() {
    const { scrollLeft, clientWidth, scrollWidth } = this.element;
    this.kept?.classList.toggle("g-over", scrollLeft + clientWidth < scrollWidth - 1);
  }

  /** Arrows go from class to class, as in any group of which one is chosen, and around its ends. */
  #key(event) {
    const by = ARROWS[event.key];
    const isBrowsers = event.altKey || event.ctrlKey || event.metaKey; // as to go back to the page before
    if (!by || isBrowsers || !event.target.matches(".g-choose")) return;
    event.preventDefault();
    event.stopPropagation();
    const names = [...this.list.querySelectorAll(".g-choose")].map(({ dataset }) => dataset.name);
    this.actions.choose(names.at((names.indexOf(event.target.dataset.name) + by) % names.length));
    this.list.querySelector(".g-active .g-choose").focus();
  }

  /** Scroll to the chip that `node` is of, unless it is one that stays in sight. */
  #reveal(node) {
    const chip = node.closest(".g-chips > .g-chip");
    if (!chip) return;
    const left = this.element.clientWidth - this.kept.offsetWidth - chip.offsetWidth - 2 * EDGE;
    reveal(chip, this.element, EDGE, this.kept.offsetWidth + Math.max(0, Math.min(FADE, left)));
  }

  #chip({ name, color }, number) {
    const isActive = name === this.active;
    const isBackground = name === BACKGROUND;
    const tip = isBackground
      ? "Background: everything that is not wanted (key 0, or the right mouse button)"
      : `Mark ${name}${number < 10 ? ` (key ${number})` : ""}; double-click to rename`;
    const choose = el("button", {
      type: "button",
      role: "radio",
      class: "g-choose",
      "aria-checked": String(isActive),
      title: tip,
    });
    choose.dataset.name = name;
    const dot = el("span", { class: isBackground ? "g-dot g-ring" : "g-dot", style: `--color: ${color}` });
    choose.append(
      dot,
      el("span", { class: "g-label", text: name }),
      number < 10 ? el("kbd", { text: String(number) }) : "",
    );
    choose.addEventListener("click", () => this.actions.choose(name));
    if (!isBackground) choose.addEventListener("dblclick", () => this.#edit(name));
    const edit =
      isActive &&
      !isBackground &&
      button("edit", "Rename, recolour or remove this class", () => this.#edit(name), { class: "g-edit" });
    return el("span", { class: isActive ? "g-chip g-active" : "g-chip", style: `--color: ${color}` }, choose, edit);
  }

  /** A small form in place of the chips; `name` null makes a new class. */
  #edit(name) {
    this.#editing = new AbortController();
    this.#shown = "";
    const item = this.classes.find((other) => other.name === name);
    const field = el("input", {
      type: "text",
      maxlength: "80",
      value: name ?? "",
      placeholder: "Name, such as leaf",
      title: "Name of the class; with that of another class, the two can be merged",
      "aria-label": "Name of the class",
    });
    const color =
      item &&
      el("input", {
        type: "color",
        value: item.color,
        title: "Colour of the class",
        "aria-label": "Colour of the class",
      });
    const remove =
      item && button("clear", "Remove this class and its marks", () => this.#close(() => this.actions.remove(name)));
    const form = el(
      "form",
      { class: "g-form" },
      color,
      field,
      el("button", { type: "submit", class: "g-primary", text: item ? "Done" : "Add" }),
      remove,
    );
    form.append(button("close", "Leave it as it is", () => this.#close()));
    const save = () => this.#close(() => this.#save(item, field.value.trim(), color?.value));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      save();
    });
    // Whoever goes on elsewhere means what is written here: a mark that is begun with this press is of that class.
    const leave = ({ target }) => form.contains(target) || save();
    document.addEventListener("pointerdown", leave, { capture: true, signal: this.#editing.signal });
    form.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.#close();
    });
    this.list.replaceChildren(form);
    this.element.scrollLeft = 0;
    field.select();
    field.focus();
  }

  #save(item, name, color) {
    if (!item) {
      if (name) this.actions.add(name);
      return;
    }
    if (color !== item.color) this.actions.recolor(item.name, color);
    if (name && name !== item.name) this.actions.rename(item.name, name);
  }

  #close(action) {
    this.#editing.abort();
    this.#editing = null;
    action?.();
    this.show(this.classes, this.active);
  }
}
