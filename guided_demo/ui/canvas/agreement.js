/** A chart of the work: how near the masks marked as correct came to being so, click by click. */

import { button, el } from "./dom.js";

const ROOM = 760; // as high as the gallery has to be for the chart to be open from the start
const QUIET = 400; // so long nothing must have happened before it is drawn anew
const [WIDTH, HEIGHT] = [360, 150];
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 12, 10, 34];
const ABOUT =
  "Photos marked as correct (C) are the truth. The line shows how much of them the masks had right after each click: " +
  "the overlap of the two, 100 % where they are the same";

export class Agreement {
  #revision = -1; // of the chart
  #wanted = -1;
  #timer = 0;
  #isAsking = false;

  /** `read(message)` asks the server; `isQuiet()` says whether nothing more important is under way. */
  constructor({ read, isQuiet }) {
    Object.assign(this, { read, isQuiet });
    this.title = el("span", { class: "g-agreed", role: "status" });
    const toggle = () => this.#open(this.chart.hasAttribute("hidden"));
    this.head = button("more", ABOUT, toggle, { text: "Agreement", label: "Chart of agreement", "aria-expanded": "true" });
    this.head.append(this.title);
    this.chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    this.element = el("div", { class: "g-agreement", hidden: true }, this.head, this.chart);
  }

  /** Draw the session's state of `revision`, as soon as there is time; nothing where no photo is marked as correct. */
  show(revision, correct) {
    if (correct && this.element.hidden) this.#open(this.element.parentElement.clientHeight > ROOM);
    this.element.hidden = !correct;
    this.#wanted = revision;
    this.#later();
  }

  #later() {
    clearTimeout(this.#timer);
    const isDue = !this.element.hidden && this.#revision !== this.#wanted && !this.#isAsking;
    if (isDue) this.#timer = setTimeout(() => this.#ask(this.#wanted), QUIET);
  }

  /** Ask a bit at a time, so that a mark made in the meantime does not wait. */
  async #ask(revision) {
    this.#isAsking = true;
    let reply = { points: null };
    while (reply.points === null && this.isQuiet()) reply = await this.read({ do: "agreement" });
    this.#isAsking = false;
    if (reply.points !== null) this.#revision = revision; // whatever the answer, it is not asked for again
    if (reply.points) this.#draw(reply.points);
    this.#later();
  }

  #open(isOpen) {
    this.chart.toggleAttribute("hidden", !isOpen);
    this.head.setAttribute("aria-expanded", String(isOpen));
  }

  #draw(points) {
    if (!points.length) return this.chart.replaceChildren();
    const most = Math.max(1, points.at(-1)[0]);
    const x = (clicks) => LEFT + (clicks / most) * (WIDTH - LEFT - RIGHT);
    const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
    const percent = (share) => `${Math.round(100 * share)} %`;
    const [clicks, share] = points.at(-1);
    const said = `${percent(share)} after ${clicks} ${clicks === 1 ? "click" : "clicks"}`;
    this.title.textContent = said;
    this.chart.setAttribute("aria-label", `Agreement with the masks marked as correct: ${said}`);
    const text = (content, at) => svg("text", at, content);
    const lines = [0, 0.5, 1].flatMap((level) => [
      svg("line", { class: "g-grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(level), y2: y(level) }),
      text(percent(level), { x: LEFT - 6, y: y(level) + 4, "text-anchor": "end" }),
    ]);
    const ends = most > 1 ? [0, Math.round(most / 2), most] : [0, most];
    const marks = [...new Set(ends)].map((count) =>
      text(count, { x: x(count), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }),
    );
    const path = points.map(([count, level]) => `${x(count).toFixed(1)},${y(level).toFixed(1)}`).join(" ");
    this.chart.replaceChildren(
      ...lines,
      ...marks,
      text("clicks and strokes", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }),
      svg("polyline", { class: "g-curve", points: path }),
      ...points.map(([count, level]) => {
        const dot = svg("circle", { class: "g-moment", cx: x(count), cy: y(level), r: 3.5 });
        dot.append(svg("title", {}, `${percent(level)} after ${count} clicks`));
        return dot;
      }),
    );
  }
}

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
