/**
 * Pointer events to marks and moves. Left button, pen or one finger makes a mark of the active class, the right button
 * one of the background; two fingers, the middle button, or a drag with the space bar held move the photo. While a pen is
 * down, fingers are the palm of its hand; its other end erases, whatever the tool.
 */

import { BACKGROUND, thin } from "./marks.js";

const CLOSE_ENOUGH = 12;
const CLOSE_FOR_FINGERS = 24;
const ERASER_END = 5; // the button of a pointer event

export class Gestures {
  #spaceHeld = false;
  #draft = null;
  #pointers = new Map();
  #areFingers = false; // what is down
  #mode = null; // "mark", "move", "pinch" or null
  #path = [];
  #isBackground = false; // begun with the right button
  #isErasing = false; // with the other end of the pen

  /** `settings()` gives {tool, label, radius (in CSS pixels)}; `onMark(mark)` takes what was made; `onChange(moved)`
   * is called when the draft has changed, with `moved` when the view has. */
  constructor(surface, view, { settings, onMark, onChange }) {
    Object.assign(this, { surface, view, settings, onMark, onChange });
    const on = (event, handler, options) => surface.addEventListener(event, handler, options);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", (event) => this.#cancelPointer(event));
    on("contextmenu", (event) => event.preventDefault());
    on("dblclick", () => this.finishPolygon());
    on("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** The mark being made, as it would be if it ended now; null between gestures. */
  get draft() {
    return this.#draft && { ...this.#draft, label: this.#label };
  }

  /** Whether a drag moves the photo. */
  get spaceHeld() {
    return this.#spaceHeld;
  }

  set spaceHeld(isHeld) {
    this.#spaceHeld = isHeld;
    this.onChange(false);
  }

  get isMoving() {
    return this.#mode === "move";
  }

  /** Whether something is under a hand: another photo would take it away. */
  get isBusy() {
    return this.#draft !== null || this.#mode !== null;
  }

  /** Whether there are corners of an outline: they stay from one gesture to the next. */
  get isOutlining() {
    return this.#settings.tool === "polygon" && this.#path.length > 0;
  }

  get isDrawingPolygon() {
    return this.#draft?.shape === "polygon" && this.#mode === null;
  }

  get #settings() {
    const settings = this.settings();
    return this.#isErasing ? { ...settings, tool: "eraser" } : settings;
  }

  /** The class of the mark being made: an outline takes its time, and another may be chosen by now. */
  get #label() {
    const { tool, label } = this.#settings;
    return tool === "eraser" ? null : this.#isBackground ? BACKGROUND : label;
  }

  /** Give up the mark being made. */
  cancel() {
    this.#draft = null;
    this.#path = [];
    if (this.#mode === "mark") this.#mode = null;
    this.onChange(false);
  }

  /** Give up what the pointer that is down has begun: all but the corners of an outline. */
  #giveUp() {
    if (!this.isOutlining) this.cancel();
    this.#mode = null;
  }

  finishPolygon() {
    if (!this.isDrawingPolygon) return;
    const corners = this.#path;
    this.cancel();
    if (corners.length >= 3) this.#emit(corners, "polygon");
  }

  /** Draw the outline on as if its last corner had not been. Says whether there is one. */
  takeBackCorner() {
    if (!this.isOutlining) return false;
    const corner = this.#path.pop();
    const pointer = this.#draft.stroke.at(-1);
    if (!this.#path.length) this.cancel();
    else this.#sketch(pointer === corner ? this.#path.at(-1) : pointer); // a finger leaves no pointer behind
    return true;
  }

  /** Mark a place without a pointer: with the brush or the eraser as much as it covers, with another tool a point. */
  markAt(point, label) {
    const { tool } = this.settings();
    if (tool === "brush" || tool === "eraser") this.#emit([point], "brush", tool === "brush" ? label : null);
    else this.#emitPoint(point, label);
  }

  #at(event) {
    const box = this.surface.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    this.surface.focus({ preventScroll: true });
    const isFinger = event.pointerType === "touch";
    if (event.pointerType === "pen" && this.#areFingers && this.#pointers.size) {
      this.#giveUp();
      this.#pointers.clear();
    }
    if (this.#pointers.size >= (isFinger && this.#areFingers ? 2 : 1)) return;
    this.#areFingers = isFinger;
    this.#pointers.set(event.pointerId, this.#at(event));
    this.surface.setPointerCapture(event.pointerId);
    if (this.#pointers.size === 2) {
      this.#giveUp(); // the first finger's mark was the beginning of a pinch
      this.#mode = "pinch";
    } else if (event.button === 1 || this.spaceHeld) {
      this.#mode = "move";
      this.onChange(false);
    } else if ([0, 2].includes(event.button) || (event.button === ERASER_END && !this.isDrawingPolygon)) {
      this.#begin(event);
    }
  }

  #begin(event) {
    this.#isErasing = event.button === ERASER_END;
    const { tool } = this.#settings;
    const point = this.view.toImage(...this.#at(event));
    this.#mode = "mark";
    if (tool === "polygon" && this.#path.length) return;
    this.#isBackground = event.button === 2;
    this.#path = tool === "polygon" ? [] : [point];
    this.#sketch(point);
  }

  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    const now = this.#at(event);
    if (!last) {
      if (this.isDrawingPolygon && event.pointerType !== "touch") this.#sketch(this.view.toImage(...now));
      return;
    }
    if (this.#mode === "mark") {
      this.#extend(event);
    } else {
      if (this.#mode === "pinch") this.#pinch(event.pointerId, now);
      if (this.#mode === "move") this.view.pan(now[0] - last[0], now[1] - last[1]);
      this.onChange(true);
    }
    this.#pointers.set(event.pointerId, now);
  }

  #pinch(id, now) {
    const [[, other] = []] = [...this.#pointers].filter(([key]) => key !== id);
    if (!other) return;
    const last = this.#pointers.get(id);
    const middle = ([ax, ay], [bx, by]) => [(ax + bx) / 2, (ay + by) / 2];
    const [from, to] = [middle(last, other), middle(now, other)];
    const spread = ([x, y]) => Math.max(Math.hypot(x - other[0], y - other[1]), 1);
    this.view.pan(to[0] - from[0], to[1] - from[1]);
    this.view.zoom(spread(now) / spread(last), ...to);
  }

  #extend(event) {
    const { tool } = this.#settings;
    const points = (event.getCoalescedEvents?.() ?? [event]).map((e) => this.view.toImage(...this.#at(e)));
    const point = points.at(-1) ?? this.view.toImage(...this.#at(event));
    if (tool === "brush" || tool === "eraser") this.#path.push(...points);
    this.#sketch(point);
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    const mode = this.#mode;
    if (mode === "mark") {
      this.#mode = null;
      this.#finish(this.view.toImage(...this.#at(event)));
    } else if (this.#pointers.size === 0) {
      this.#mode = null;
    }
    this.onChange(false);
  }

  #cancelPointer(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#mode === "mark") this.cancel();
    if (!this.#pointers.size) this.#mode = null;
  }

  #finish(point) {
    const { tool } = this.#settings;
    if (tool === "polygon") return this.#corner(point);
    const path = this.#path;
    this.cancel();
    if (tool === "point") this.#emitPoint(path[0]);
    else if (tool !== "box") this.#emit(path, "brush");
    else if (this.#isDrag(path[0], point)) this.#emit(boxOf(path[0], point), "polygon");
  }

  #corner(point) {
    const [first] = this.#path;
    const near = this.#areFingers ? CLOSE_FOR_FINGERS : CLOSE_ENOUGH;
    const closes = this.#path.length >= 3 && !this.#isDrag(first, point, near);
    if (closes) return this.finishPolygon();
    const repeated = this.#path.length && !this.#isDrag(this.#path.at(-1), point, 3);
    if (!repeated) this.#path.push(point);
    this.#sketch(point);
  }

  #isDrag(from, to, least = 3) {
    return Math.hypot(to[0] - from[0], to[1] - from[1]) * this.view.scale >= least;
  }

  /** What the gesture would mark if it ended at `point`. */
  #sketch(point) {
    const { tool, radius } = this.#settings;
    if (tool === "point") this.#draft = { point: this.#path[0] };
    else if (tool === "box") this.#draft = { stroke: boxOf(this.#path[0], point), shape: "polygon" };
    else if (tool === "polygon") this.#draft = { stroke: [...this.#path, point], shape: "polygon" };
    else this.#draft = { stroke: this.#path, radius: radius / this.view.scale, shape: "brush" };
    this.onChange(false);
  }

  #emitPoint(point, label = this.#label) {
    if (this.view.contains(point)) this.onMark({ point: thin([point], 0)[0], label });
  }

  #emit(path, shape, label = this.#label) {
    const radius = this.#settings.radius / this.view.scale;
    if (touches(path, this.view.image))
      this.onMark({ stroke: thin(path, 1 / this.view.scale), label, radius, shape });
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.view.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), ...this.#at(event));
    this.onChange(true);
  }
}

function boxOf([ax, ay], [bx, by]) {
  return [
    [ax, ay],
    [bx, ay],
    [bx, by],
    [ax, by],
  ];
}

function touches(path, [width, height]) {
  const xs = path.map(([x]) => x);
  const ys = path.map(([, y]) => y);
  const overlaps = (values, length) => Math.max(...values) >= 0 && Math.min(...values) <= length;
  return overlaps(xs, width) && overlaps(ys, height);
}
