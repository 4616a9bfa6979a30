/** Helpers that build the page. Whatever a person wrote (names of files and classes) enters through textContent. */

export function el(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, handler] of Object.entries(on)) node.addEventListener(event, handler);
  node.append(...children.filter(Boolean));
  return node;
}

const ICONS = {
  point: "M12 2v6M12 16v6M2 12h6M16 12h6M12 11.5v1",
  brush: "M20 3 10.5 13.5M13 16 21 4M4 21c3.5 .5 7-.5 7.5-3.5a3 3 0 0 0-5-2.5C5 16.5 6 19.5 4 21z",
  eraser: "M8 20 3.5 15.5a1.5 1.5 0 0 1 0-2L13 4l7.5 7.5L12 20zM8.5 8.5 16 16M6 20h15",
  polygon: "M5 10 12 4l8 6-3 10H8z",
  box: "M4 5h16v14H4z",
  undo: "M9 5 4 10l5 5M4 10h10a5.5 5.5 0 0 1 0 11h-4",
  redo: "M15 5l5 5-5 5M20 10H10a5.5 5.5 0 0 0 0 11h4",
  clear: "M4 7h16M9 7V4h6v3M6 7l1 14h10l1-14M10 11v6M14 11v6",
  in: "M12 5v14M5 12h14",
  out: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18v.1",
  close: "M6 6l12 12M18 6 6 18",
  photos: "M4 5h16v14H4zM4 16l5-5 4 4 3-2 4 4M15 9v.1",
  folder: "M3 6h6l2 3h10v10H3z",
  save: "M12 4v11M7 11l5 5 5-5M4 20h16",
  load: "M12 16V5M7 9l5-5 5 5M4 20h16",
  edit: "M4 20l1-4L16 5l3 3L8 19z",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 14.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6z",
  target: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 2v5M12 17v5M2 12h5M17 12h5",
  tick: "M5 12.5l4.5 4.5L19 7",
  sift: "M4 6h16M7 12h10M10 18h4",
  select: "M4 5h7v7H4zM15 8l2 2 4-4M4 17h16",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  more: "M6 9l6 6 6-6",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon and a tooltip; `text` shows beside the icon, `label` is what a screen reader says. */
export function button(name, tip, onclick, { text, label = text ?? tip, ...attributes } = {}) {
  const node = el("button", {
    type: "button",
    title: tip,
    "aria-label": label,
    ...attributes,
    on: onclick ? { click: () => onclick() } : {},
  });
  node.append(icon(name));
  if (text) node.append(el("span", { text }));
  return node;
}

/**
 * A button that opens and closes `popover`, once `place` has put it. The browser has to know that they belong together:
 * a press on the button would otherwise close the popover as one elsewhere does, and the click open it again.
 */
export function opener(name, tip, popover, place, options) {
  const node = button(name, tip, null, { ...options, "aria-expanded": "false" });
  node.popoverTargetElement = popover;
  popover.addEventListener("beforetoggle", ({ newState }) => newState === "open" && place());
  popover.addEventListener("toggle", ({ newState }) => node.setAttribute("aria-expanded", String(newState === "open")));
  return node;
}

/** Whether it is fingers that press, rather than a mouse. */
export const isTouch = () => window.matchMedia("(pointer: coarse)").matches;

/** What is done, with the key that does it where there may be keys. */
export const keyed = (text, key) => (isTouch() ? text : `${text} (${key})`);

const segmenter = new Intl.Segmenter();

/** The characters of a text; what is seen as one, such as an emoji, is not cut apart. */
export const letters = (text) => [...segmenter.segment(text)].map(({ segment }) => segment);

/** At most `most` characters of a name. */
export function short(name, most = 24) {
  if (name.length <= most) return name;
  const parts = letters(name);
  return parts.length > most ? `${parts.slice(0, most - 1).join("")}…` : name;
}

/** Scroll `pane`, and nothing around it, to where `node` in it is seen with `margin` pixels around it; the last `covered` pixels
 * of the pane's width have something else above them. */
export function reveal(node, pane, margin, covered = 0) {
  const [inner, outer] = [node, pane].map((element) => element.getBoundingClientRect());
  pane.scrollLeft += Math.max(0, inner.right + margin + covered - outer.right) - Math.max(0, outer.left + margin - inner.left);
  pane.scrollTop += Math.max(0, inner.bottom + margin - outer.bottom) - Math.max(0, outer.top + margin - inner.top);
}

/** Let a mouse wheel move a pane sideways where that is its only way: most have no second wheel for it. */
export function rollSideways(pane) {
  const roll = (event) => {
    if (event.deltaX || event.ctrlKey) return;
    const before = pane.scrollLeft;
    pane.scrollLeft += event.deltaY;
    if (pane.scrollLeft !== before) event.preventDefault(); // else what is around it would scroll, too
  };
  pane.addEventListener("wheel", roll, { passive: false });
}

/** A labelled slider, of the class g-held while a mouse or a finger holds it: a finger makes nothing :active. */
export function slider(text, tip, { min, max, value, oninput, onhold = () => {} }) {
  const input = el("input", {
    type: "range",
    min,
    max,
    value,
    "aria-label": text,
    on: { input: () => oninput(Number(input.value)) },
  });
  const element = el("label", { class: "slider", title: tip }, el("span", { text }), input);
  const hold = (isHeld) => {
    element.classList.toggle("g-held", isHeld);
    onhold();
  };
  input.addEventListener("pointerdown", () => {
    const held = new AbortController();
    const release = () => {
      held.abort();
      hold(false);
    };
    hold(true);
    for (const event of ["pointerup", "pointercancel"])
      document.addEventListener(event, release, { capture: true, signal: held.signal });
  });
  return { input, element };
}
