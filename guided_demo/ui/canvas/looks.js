/** How masks are seen: the panel that chooses a view, how strong it is, and what is left out; and the legend of the view. */

import { el, short, slider } from "./dom.js";
import { BACKGROUND } from "./marks.js";
import { Panel } from "./panel.js";
import { Scope } from "./scope.js";

const VIEWS = [
  ["overlay", "Overlay", "Masks over the photo"],
  ["mask", "Masks only", "As they are saved, without the photo"],
  ["outline", "Outlines", "Just the edges of the masks"],
  ["probability", "How likely", "How likely each pixel is of the chosen class"],
  ["novelty", "Unlike any mark", "What looks like nothing you marked so far: a good place for a mark"],
];
const GREY = ["probability", "novelty"];
const SUREST = 99;
const NOVELTY_COLOR = "#ff33cc";
const MOST_NAMES = 6;
const FEWER_NAMES = 4; // where a photo is narrower than this:
const NARROW = 500;
const NAME = 20; // letters of one

/** The view after this one. */
export function nextView(view, by) {
  const names = VIEWS.map(([name]) => name);
  return names[(names.indexOf(view) + by + names.length) % names.length];
}

/** How a stage paints the photo and the mask of a view: {photo, grey, mask}, the last how opaque. */
export function paintOf(view, opacity) {
  if (GREY.includes(view)) return { photo: true, grey: true, mask: Math.sqrt(opacity) };
  return { photo: view !== "mask", grey: false, mask: view === "overlay" ? opacity : 1 };
}

export class Looks {
  /** `actions` has {look(wish), opacity(value)}. */
  constructor(actions, { opacity }) {
    const look = (wish) => actions.look(wish);
    this.views = new Map(
      VIEWS.map(([view, name, about]) => {
        const swatch = el("span", { class: `g-swatch g-swatch-${view}`, "aria-hidden": "true" });
        const text = el("span", {}, el("strong", { text: name }), el("small", { text: about }));
        const node = el("button", { type: "button", on: { click: () => look({ view }) } }, swatch, text);
        return [view, node];
      }),
    );
    this.opacity = slider("Masks", "How strongly the masks cover the photos", {
      min: 0,
      max: 100,
      value: opacity * 100,
      oninput: (value) => actions.opacity(value / 100),
    });
    this.unsure = slider(
      "Leave out",
      "Pixels that are less sure than this get no class, here and in what you download. At the left end, all get one",
      { min: 50, max: SUREST, value: 50, oninput: (value) => look({ unsure: value > 50 ? value / 100 : 0 }) },
    );
    this.limit = el("output", { class: "g-limit" });
    this.unsure.element.append(this.limit);
    this.scope = new Scope((scope) => look({ scope }));
    this.panel = new Panel(
      "eye",
      "View: how masks are shown, and what is left out of them (V: next view)",
      { text: "Overlay", label: "View", class: "g-look" },
      this.scope.element,
      el("div", { class: "g-views", role: "group", "aria-label": "View" }, ...this.views.values()),
      this.opacity.element,
      this.unsure.element,
    );
    this.legend = el("div", { class: "g-legend", hidden: true });
  }

  /** `look` is the server's {view, label, scope, unsure}; `seen` the view that is on the stage, null where there is no mask;
   * `marked` names the classes that masks may show, `active` is the one that is chosen; `opacity` from 0 to 1. */
  show({ look, seen, classes, marked, active, opacity }) {
    this.opacity.input.value = 100 * opacity;
    for (const [view, node] of this.views) node.setAttribute("aria-pressed", String(view === look.view));
    const [, name] = VIEWS.find(([view]) => view === look.view);
    this.panel.button.lastChild.textContent = name;
    const percent = Math.round(100 * look.unsure);
    this.limit.textContent = percent ? `below ${percent} %` : "nothing";
    if (document.activeElement !== this.unsure.input) this.unsure.input.value = percent || 50;
    this.scope.show(look.scope);
    this.#explain(seen, percent, classes, marked, active, look.label ?? "");
  }

  #explain(seen, percent, classes, marked, active, label) {
    const color = classes.find(({ name }) => name === label)?.color ?? "#888888";
    const ramp = (from, to, shade) => [
      el("span", { text: from }),
      el("span", { class: "g-ramp", style: `--color: ${shade}` }),
      el("span", { text: to }),
    ];
    const most = this.legend.parentElement.clientWidth < NARROW ? FEWER_NAMES : MOST_NAMES;
    const named = () => names(classes, marked, active, most);
    const parts = {
      probability: () => ramp(`not ${short(label, NAME)}`, short(label, NAME), color),
      novelty: () => ramp("like your marks", "unlike any", NOVELTY_COLOR),
      mask: named,
      outline: named,
    };
    const shown = parts[seen]?.() ?? [];
    if (percent && seen && !GREY.includes(seen))
      shown.push(el("span", { class: "g-key g-hatched", text: `no class: less than ${percent} % sure` }));
    this.legend.replaceChildren(...shown);
    this.legend.hidden = !shown.length;
  }
}

/** The classes that masks show, the chosen one first: at most so many, and how many more. */
function names(classes, marked, active, most) {
  const shown = classes.filter(({ name }) => name !== BACKGROUND && marked.includes(name));
  shown.sort((a, b) => (b.name === active) - (a.name === active));
  const more = shown.length - most;
  const key = ({ name, color }) => el("span", { class: "g-key", style: `--color: ${color}`, text: short(name, NAME) });
  return [...shown.slice(0, most).map(key), ...(more > 0 ? [el("span", { text: `and ${more} more` })] : [])];
}
