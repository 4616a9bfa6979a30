/** The drawing surface: photo, mask and marks on one canvas, the cursor and the mark being made on another above it. */

import { el, short } from "./dom.js";
import { Gestures } from "./gestures.js";
import { BACKGROUND, paintDraft, paintMarks, paintPoint } from "./marks.js";
import { paintOf } from "./looks.js";
import { View } from "./view.js";

const CROSSHAIR = 11;
const HANDLE = 6;
const PIXELS_SHOW_AT = 4;
const LOOSE = 1.25; // how far a picture may be stretched before that shows
const MASK_PAPER = "#10151d"; // below masks that are shown without their photo

export class Stage {
  view = new View();
  isEmpty = true;
  photo = null;
  preview = null; // what stands in for the photo until that is there
  mask = null;
  look = "overlay"; // the view that the mask is of
  marks = [];
  #layer = document.createElement("canvas");
  #pointer = null;
  #keyboardCursor = null;
  #frame = 0;
  #baseIsStale = true;
  #isBlurred = false;
  #wasOutlining = false;

  /** `settings()` gives {tool, label, radius, colors, opacity}, `isSizing()` whether the size of the brush is being set.
   * `onMark(mark)` takes every mark made, `onOutline()` is called when an outline begins and ends, `onBlurred()` once for a photo
   * that is shown larger than its picture is, `onPaint(view)` with every painting. */
  constructor({ settings, isSizing, onMark, onOutline, onBlurred, onPaint }) {
    Object.assign(this, { isSizing, onOutline });
    this.onBlurred = onBlurred;
    this.onPaint = onPaint;
    this.settings = settings;
    this.onMark = onMark;
    this.base = el("canvas");
    this.ink = el("canvas", { class: "g-ink", tabindex: "0", role: "application", "aria-label": "Photo to mark" });
    this.element = el("div", { class: "g-stage" }, this.base, this.ink);
    this.gestures = new Gestures(this.ink, this.view, { settings, onMark, onChange: (moved) => this.#change(moved) });
    this.ink.addEventListener("pointermove", (event) => this.#track(event));
    this.ink.addEventListener("pointerleave", () => this.leave());
    new ResizeObserver(() => this.#resize()).observe(this.element);
  }

  /** Show a photo of `size` (W, H) pixels, or none (null); `preview` stands in until its pixels and mask are there. */
  show(size, label, preview) {
    Object.assign(this, { photo: null, preview, mask: null, marks: [], isEmpty: !size });
    this.#isBlurred = false;
    this.gestures.cancel();
    this.#keyboardCursor = null;
    this.view.image = size ?? [1, 1];
    this.view.fit();
    this.ink.setAttribute("aria-label", label);
    this.draw();
  }

  set(changes) {
    Object.assign(this, changes);
    this.draw();
  }

  /** Zoom to the cursor, or else to the middle. */
  zoom(factor) {
    this.view.zoom(factor, ...(this.#keyboardCursor ?? this.#pointer ?? []));
    this.draw();
  }

  fit() {
    this.view.fit();
    this.draw();
  }

  /** Whether a mouse or a pen is over the photo. */
  get isPointed() {
    return this.#pointer !== null;
  }

  /** Take it that the pointer was left where it is. */
  leave() {
    this.#track(null);
  }

  /** The cursor that arrow keys move: made visible in the middle of what is shown. */
  get hasKeyboardCursor() {
    return this.#keyboardCursor !== null;
  }

  toggleKeyboardCursor(on = !this.hasKeyboardCursor) {
    this.#keyboardCursor = on ? this.view.stage.map((length) => length / 2) : null;
    this.draw(false);
  }

  moveKeyboardCursor(dx, dy) {
    const [x, y] = this.#keyboardCursor;
    const [width, height] = this.view.stage;
    this.#keyboardCursor = [Math.max(0, Math.min(width, x + dx)), Math.max(0, Math.min(height, y + dy))];
    this.draw(false);
  }

  markAtKeyboardCursor(label) {
    this.gestures.markAt(this.view.toImage(...this.#keyboardCursor), label);
  }

  /** Paint with the next frame: the cursor and the draft, and the photo below them if `base`. */
  draw(base = true) {
    this.#baseIsStale ||= base;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#baseIsStale) this.#paintBase();
      this.#baseIsStale = false;
      this.#paintInk();
    });
  }

  #change(moved) {
    this.draw(moved);
    const { isOutlining } = this.gestures;
    if (isOutlining === this.#wasOutlining) return;
    this.#wasOutlining = isOutlining;
    this.onOutline();
  }

  #track(event) {
    const box = this.ink.getBoundingClientRect();
    const visible = event && event.pointerType !== "touch";
    this.#pointer = visible ? [event.clientX - box.left, event.clientY - box.top] : null;
    this.draw(false);
  }

  #resize() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) return;
    this.ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.ink]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.view.resize([width, height]);
    this.draw();
  }

  #start(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    return context;
  }

  #paintBase() {
    const context = this.#start(this.base);
    const { view, photo, mask } = this;
    const picture = photo ?? this.preview;
    const { colors, opacity } = this.settings();
    const paint = paintOf(mask ? this.look : "overlay", opacity);
    const place = [view.x, view.y, ...view.image.map((length) => length * view.scale)];
    context.imageSmoothingEnabled = view.scale < PIXELS_SHOW_AT;
    context.fillStyle = MASK_PAPER;
    if (!paint.photo) context.fillRect(...place);
    else if (picture) context.drawImage(picture, ...place);
    if (photo) this.#notice(photo.width, place[2] * this.ratio);
    if (paint.grey) fadeColors(context, place);
    context.globalAlpha = paint.mask;
    if (mask) context.drawImage(mask, ...place);
    context.globalAlpha = 1;
    paintMarks(context, this.#layer, this.marks, view, colors, this.ratio);
    this.onPaint(view);
  }

  #notice(width, shown) {
    if (this.#isBlurred || width >= Math.min(shown / LOOSE, this.view.image[0])) return;
    this.#isBlurred = true;
    this.onBlurred();
  }

  #paintInk() {
    const context = this.#start(this.ink);
    const { draft, isMoving, spaceHeld, isOutlining } = this.gestures;
    this.ink.style.cursor = isMoving ? "grabbing" : spaceHeld ? "grab" : this.isEmpty ? "default" : "";
    if (this.isEmpty) return;
    if (draft) this.#paintDraft(context, draft);
    if (isOutlining) paintHandle(context, this.view.toStage(...draft.stroke[0]));
    const at = this.#keyboardCursor ?? this.#pointer;
    if (at && !isMoving && !spaceHeld) this.#paintCursor(context, at);
    else if (this.isSizing()) this.#paintBrush(context);
  }

  #paintDraft(context, draft) {
    const { colors } = this.settings();
    const color = draft.label === null ? "#fff" : colors[draft.label];
    if (draft.point) paintPoint(context, draft, this.view, colors);
    else paintDraft(context, draft, this.view, color);
    if (draft.shape === "polygon") outline(context, color, 2);
  }

  /** How large the brush is that is being set, in the middle of the photo: the pointer is elsewhere. */
  #paintBrush(context) {
    const { label, radius, colors } = this.settings();
    const [x, y] = this.view.stage.map((length) => length / 2);
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    outline(context, colors[label], 2);
  }

  /** What the next click does: a cross or the brush's circle in the colour of the class, and its name. */
  #paintCursor(context, [x, y]) {
    const { tool, label, radius, colors } = this.settings();
    const color = tool === "eraser" ? "#fff" : colors[label];
    context.beginPath();
    if (tool === "brush" || tool === "eraser") {
      context.arc(x, y, radius, 0, 7);
    } else {
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ]) {
        context.moveTo(x + 3 * dx, y + 3 * dy);
        context.lineTo(x + CROSSHAIR * dx, y + CROSSHAIR * dy);
      }
    }
    outline(context, color, 2);
    const offset = (tool === "brush" || tool === "eraser" ? Math.max(radius * 0.75, 8) : 8) + 4;
    const name = tool === "eraser" ? "eraser" : label;
    paintTag(context, name, name === BACKGROUND ? null : color, x + offset, y + offset, this.view.stage);
  }
}

/** Take the colours out of what is painted, so that the mask's stand out. */
function fadeColors(context, place) {
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "#888";
  context.fillRect(...place);
  context.globalCompositeOperation = "source-over";
}

/** The first corner of an outline, which closes it. */
function paintHandle(context, [x, y]) {
  context.beginPath();
  context.arc(x, y, HANDLE, 0, 7);
  context.fillStyle = "#fff";
  context.fill();
  outline(context, "#1d5fd1", 2);
}

function outline(context, color, width) {
  context.lineWidth = width + 2.5;
  context.strokeStyle = "rgb(0 0 0 / .6)";
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = color;
  context.stroke();
}

function paintTag(context, name, color, x, y, [width, height]) {
  context.font = "600 12px system-ui, sans-serif";
  const shown = short(name);
  const length = context.measureText(shown).width + 24;
  const [left, top] = [Math.min(x, width - length - 4), Math.min(y, height - 24)];
  context.fillStyle = "rgb(17 24 39 / .82)";
  context.beginPath();
  context.roundRect(left, top, length, 20, 10);
  context.fill();
  context.beginPath();
  context.arc(left + 11, top + 10, 4, 0, 7);
  context.fillStyle = color ?? "transparent";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.stroke();
  context.fillStyle = "#fff";
  context.fillText(shown, left + 19, top + 14);
}
