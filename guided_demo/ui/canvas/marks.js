/**
 * Marks as the server keeps them: {point: [x, y], label} or {stroke: [[x, y], …], label, radius, shape}, in pixels of
 * the photo; label null erases. Later marks win, as in the annotation itself.
 */

export const BACKGROUND = "background";

const POINT_RADIUS = 5.5;
const STROKE_OPACITY = 0.5;

/** Paint `marks` on `context`, in stage coordinates of `view`; `colors` gives each class its colour. */
export function paintMarks(context, layer, marks, view, colors, ratio) {
  const strokes = marks.filter((mark) => mark.stroke);
  if (strokes.length) {
    // Erasers must cut out of the strokes but not out of the photo: strokes are painted on a layer of their own.
    layer.width = context.canvas.width;
    layer.height = context.canvas.height;
    const ink = layer.getContext("2d");
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const mark of strokes) paintStroke(ink, mark, view, colors);
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = STROKE_OPACITY;
    context.drawImage(layer, 0, 0);
    context.restore();
  }
  marks.forEach((mark, index) => {
    if (mark.point && !isErased(mark.point, marks, index + 1)) paintPoint(context, mark, view, colors);
  });
}

/** A stroke that is still being made; an eraser's shows as a stroke, too. Leaves its path on the context. */
export function paintDraft(context, mark, view, color) {
  context.globalAlpha = STROKE_OPACITY;
  paintPath(context, mark, view, color);
  context.globalAlpha = 1;
}

function paintStroke(context, mark, view, colors) {
  context.globalCompositeOperation = mark.label === null ? "destination-out" : "source-over";
  paintPath(context, mark, view, colors[mark.label] ?? "#000");
}

function paintPath(context, mark, view, color) {
  context.fillStyle = context.strokeStyle = color;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  for (const point of mark.stroke) context.lineTo(...view.toStage(...point));
  if (mark.shape === "polygon") {
    context.closePath();
    context.fill();
  } else if (mark.stroke.length === 1) {
    const [x, y] = view.toStage(...mark.stroke[0]);
    context.arc(x, y, mark.radius * view.scale, 0, 7);
    context.fill();
  } else {
    context.lineWidth = 2 * mark.radius * view.scale;
    context.stroke();
  }
}

/** Background is a ring, everything else a disc: told apart without colour, too. */
export function paintPoint(context, mark, view, colors) {
  const [x, y] = view.toStage(...mark.point);
  const hollow = mark.label === BACKGROUND;
  const ring = (radius, width, style) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  };
  ring(POINT_RADIUS, 6.5, "rgb(0 0 0 / .7)");
  if (hollow) {
    ring(POINT_RADIUS, 3, "#fff");
  } else {
    context.fillStyle = colors[mark.label] ?? "#000";
    context.fill();
    ring(POINT_RADIUS, 2.5, "#fff");
  }
}

/** Whether a later eraser covers the point. */
function isErased(point, marks, from) {
  return marks.slice(from).some((mark) => mark.stroke && mark.label === null && covers(mark, point));
}

function covers(mark, [x, y]) {
  if (mark.shape === "polygon") return insidePolygon(mark.stroke, x, y);
  const { stroke, radius } = mark;
  return stroke.some((end, i) => distanceToSegment(stroke[Math.max(i - 1, 0)], end, x, y) <= radius);
}

function insidePolygon(path, x, y) {
  let inside = false;
  path.forEach(([bx, by], i) => {
    const [ax, ay] = path.at(i - 1);
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}

function distanceToSegment([ax, ay], [bx, by], x, y) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** The path with points closer than `step` left out, in hundredths of a pixel: what is worth sending. */
export function thin(path, step) {
  const kept = [path[0]];
  for (const point of path.slice(1, -1)) {
    const [x, y] = kept.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) >= step) kept.push(point);
  }
  if (path.length > 1) kept.push(path.at(-1));
  return kept.map(([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);
}
