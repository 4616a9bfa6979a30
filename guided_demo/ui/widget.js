/** canvas.js in a Jupyter cell: what it says to Python, and hears back, travels over the widget's own messages. */

import { mount } from "./canvas.js";
import { el } from "./canvas/dom.js";

const PART_BYTES = 4_000_000; // Jupyter's server ends the connection on a message of more than 10 MB
const GONE =
  "This is not connected to the notebook's kernel any more. Run the cell again to go on. Marks come back where a folder " +
  'keeps them: annotate(…, workspace="FOLDER").';

/** Requests to Python over the messages of an anywidget `model`; `onNews()` is called when others changed the session. */
class Wire {
  #waiting = new Map(); // number -> {resolve, onProgress}
  #count = 0;
  #isCut = false;
  #view = Math.random().toString(36).slice(2); // each view of a widget hears the answers to all of them

  constructor(model, onNews) {
    this.model = model;
    const wire = this;
    model.on("msg:custom", (message) => {
      const isOurs = message.view === this.#view;
      if (message.news && !isOurs) onNews();
      if (!message.news && isOurs) this.#hear(message);
    });
    // Called by Jupyter with the view for `this`.
    model.on("comm_live_update", function () {
      wire.#cut(this.model?.comm_live === false);
    });
  }

  /** Resolves to Python's last reply; to those before it, where there are any, `onProgress` listens. */
  ask(message, { onProgress, data } = {}) {
    if (this.#isCut) return Promise.resolve({ error: GONE });
    const number = ++this.#count;
    return new Promise((resolve) => {
      this.#waiting.set(number, { resolve, onProgress });
      this.model.send({ view: this.#view, number, message }, undefined, data && [data]);
    });
  }

  /** Hand over a file, in parts that fit into a message. */
  async send(file, name, place = 0) {
    const id = `${this.#view} ${++this.#count}`;
    for (let at = 0; ; at += PART_BYTES) {
      const data = await file.slice(at, at + PART_BYTES).arrayBuffer();
      const isLast = at + PART_BYTES >= file.size;
      const reply = await this.ask({ do: "file", id, last: isLast, name, place }, { data });
      if (isLast || reply.error) return reply;
    }
  }

  #hear({ number, reply, last }) {
    const request = this.#waiting.get(number);
    if (!last) return request?.onProgress?.(reply);
    this.#waiting.delete(number);
    request?.resolve(reply);
  }

  #cut(isCut) {
    this.#isCut = isCut;
    if (!isCut) return;
    for (const { resolve } of this.#waiting.values()) resolve({ error: GONE });
    this.#waiting.clear();
  }
}

/** anywidget's render: a still picture until the kernel answers, and the annotator from then on. */
export function show({ model, el: root, signal }) {
  const place = el("div", { class: "g-root" });
  keepFrom(place, signal);
  place.append(picture(model.get("_still")));
  root.replaceChildren(place);

  let annotator = null;
  const wire = new Wire(model, () => annotator?.refresh());
  const host = {
    call: (message) => wire.ask(message),
    work: (message, onProgress) => wire.ask(message, { onProgress }),
    send: (...file) => wire.send(...file),
    wholePage: false,
  };
  wire.ask({ do: "start" }).then((reply) => {
    if (!reply.error) annotator = mount({ element: place, host });
  });
}

/** Keep Jupyter from what is meant for the annotator, and the annotator from what is meant for Jupyter. */
function keepFrom(place, signal) {
  const isInside = (node) => place.contains(node);
  place.addEventListener("contextmenu", (event) => event.stopPropagation());
  const passWheel = (event) => event.ctrlKey || isInside(document.activeElement) || event.stopPropagation();
  place.addEventListener("wheel", passWheel, { capture: true });
  // Jupyter looks at keys in the document, and only for this attribute at the very node that has the focus.
  const claim = (event) => {
    const isOurs = !(event.ctrlKey || event.metaKey) || "zy".includes(event.key.toLowerCase());
    if (isInside(event.target)) event.target.toggleAttribute("data-lm-suppress-shortcuts", isOurs);
  };
  window.addEventListener("keydown", claim, { capture: true, signal });
}

function picture(source) {
  const text = "Waiting for the notebook's kernel. If this stays, run the cell again.";
  const image = source && el("img", { src: source, alt: "The photos as they were when this was shown last" });
  return el("div", { class: "guided g-still", role: "status" }, image, el("p", { text }));
}
