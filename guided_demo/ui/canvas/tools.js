/** The buttons beside the photo, and what is below it: sliders and zoom. */

import { button, el, slider } from "./dom.js";
import { Cut } from "./names.js";

export const SMALLEST_BRUSH = 2;
export const LARGEST_BRUSH = 80;

const TOOLS = [
  ["point", "Point: click on a thing (P)"],
  ["brush", "Brush: paint over a thing (B)"],
  ["eraser", "Eraser: take marks away (E)"],
  ["polygon", "Outline: click its corners, double-click to finish (L)"],
  ["box", "Rectangle: drag over an area that is all one class (R)"],
];

export class Tools {
  /** `actions` has {tool(name), undo, redo, clear, step(by), zoom(factor), fit, help, brushSize(value), sizing}, the last called
   * as that begins and ends to be set; `below` are more controls for the row below the photo. */
  constructor(actions, { brush }, ...below) {
    this.tools = new Map(
      TOOLS.map(([name, tip]) => [name, button(name, tip, () => actions.tool(name), { "aria-pressed": "false" })]),
    );
    this.undo = button("undo", "Undo (Z)", actions.undo);
    this.redo = button("redo", "Redo (Shift+Z)", actions.redo);
    this.clear = button("clear", "Take all marks off this photo", actions.clear);
    const group = (label, ...buttons) =>
      el("div", { class: "g-group", role: "group", "aria-label": label }, ...buttons);
    const help = button("help", "Help: all keys and what they do (H)", () => actions.help());
    this.element = el(
      "div",
      { class: "g-tools", role: "toolbar", "aria-label": "Tools" },
      group("Marking", ...this.tools.values()),
      group("History", this.undo, this.redo, this.clear, help),
    );
    this.brush = slider("Brush", "Size of the brush and the eraser (keys [ and ])", {
      min: SMALLEST_BRUSH,
      max: LARGEST_BRUSH,
      value: brush,
      oninput: actions.brushSize,
      onhold: actions.sizing,
    });
    for (const event of ["focus", "blur"]) this.brush.input.addEventListener(event, actions.sizing);
    this.zoom = group(
      "View",
      button("out", "Zoom out (−, or the mouse wheel)", () => actions.zoom(1 / 1.4)),
      button("in", "Zoom in (+, or the mouse wheel)", () => actions.zoom(1.4)),
      button("fit", "Show the whole photo (F)", actions.fit),
    );
    this.name = new Cut("g-current");
    this.place = el("span", { class: "g-place" });
    this.previous = button("previous", "Previous photo (←)", () => actions.step(-1));
    this.next = button("next", "Next photo (→)", () => actions.step(1));
    const photos = el(
      "div",
      { class: "g-group g-photos", role: "group", "aria-label": "Photo" },
      this.previous,
      this.name.element,
      this.place,
      this.next,
    );
    this.below = el("div", { class: "g-below" }, this.brush.element, ...below, photos, this.zoom);
  }

  show({ tool, brush, undo, redo, isMarked, isEmpty }) {
    for (const node of this.zoom.children) node.disabled = isEmpty;
    for (const [name, node] of this.tools) node.setAttribute("aria-pressed", String(name === tool));
    this.brush.input.value = brush;
    this.undo.disabled = !undo;
    this.redo.disabled = !redo;
    this.clear.disabled = !isMarked;
  }

  /** Whether the size of the brush is being set, by a mouse, a finger or keys. */
  get isSizing() {
    return this.brush.element.matches(".g-held, :has(:focus-visible)");
  }

  /** Which photo is open: what it is called, its whole name, its place among those that are shown, and whether there is another. */
  showPhoto(told, name, place, canStep) {
    this.previous.disabled = this.next.disabled = !canStep;
    this.name.show(told);
    this.name.element.title = name;
    this.place.textContent = place;
  }
}
