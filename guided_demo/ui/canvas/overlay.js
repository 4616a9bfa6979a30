/** What comes and goes above the rest: messages, questions, progress of long work, and the help. */

import { button, el, isTouch } from "./dom.js";
import { KEYS, TOUCHES } from "./keys.js";

const LONG_ENOUGH = 7000;

/** Messages in a corner, the last of them in sight. Problems stay until they are closed, everything else leaves by itself. */
export class Notices {
  #offer = null;

  element = el("div", { class: "g-notices", role: "status", "aria-live": "polite" });

  show(text, { problem = false, details = [] } = {}) {
    const notice = el("div", { class: problem ? "g-notice g-problem" : "g-notice" }, el("p", { text }));
    if (details.length) notice.append(el("ul", {}, ...details.map((line) => el("li", { text: line }))));
    notice.append(button("close", "Close this message", () => notice.remove()));
    if (this.element.lastChild?.isEqualNode(notice)) return this.element.lastChild; // said already, with the same details
    this.element.append(notice);
    if (!problem) setTimeout(() => notice.remove(), LONG_ENOUGH);
    return notice;
  }

  /** Bring what was said before, if it is still there, in sight. */
  raise(notice) {
    if (notice?.isConnected) this.element.append(notice);
  }

  /** Say that undo brings something back, as long as it does. */
  offer(text) {
    this.#offer = this.show(text);
  }

  /** Something else was done: undo would take that back. */
  withdraw() {
    this.#offer?.remove();
    this.#offer = null;
  }
}

/** A question that has to be answered before anything else is done. */
export class Question {
  constructor() {
    this.title = el("h2");
    this.about = el("p");
    this.yes = el("button", { value: "yes", class: "g-primary" });
    this.no = el("button", { value: "no" });
    const answers = el("div", { class: "g-answers" }, this.yes, this.no);
    const form = el("form", { method: "dialog" }, this.title, this.about, answers);
    this.element = el("dialog", { class: "g-question" }, form);
  }

  /** Resolves to whether it is answered with `yes`; to leave it is to say no. */
  ask(title, about, yes, no) {
    this.element.setAttribute("aria-label", title);
    for (const [node, text] of [[this.title, title], [this.about, about], [this.yes, yes], [this.no, no]])
      node.textContent = text;
    this.element.returnValue = "no";
    this.element.showModal();
    return new Promise((resolve) => {
      this.element.onclose = () => resolve(this.element.returnValue === "yes");
    });
  }
}

/** A bar for work that takes its time, with what is left of it and a way to stop. One thing at a time: the next waits. */
export class Progress {
  #ended = Promise.resolve(); // when all that was begun has ended
  #waiting = 0;
  #said = "";

  constructor() {
    this.text = el("span");
    this.bar = el("progress", { max: "1", value: "0", "aria-label": "Progress" });
    this.stop = el("button", { type: "button", text: "Stop" });
    this.element = el("div", { class: "g-progress", role: "status", hidden: true }, this.text, this.bar, this.stop);
  }

  /** Show the bar while `work(report, isStopped)` runs; report(done, total) moves it. Returns what `work` returns,
   * or undefined at once where it is stopped; the next begins when it has ended all the same. */
  async during(doing, work) {
    const before = this.#ended;
    const turn = Promise.withResolvers();
    this.#ended = turn.promise;
    this.#say({ waiting: this.#waiting + 1 });
    await before;
    this.#say({ waiting: this.#waiting - 1, said: `${doing} …` });
    const began = performance.now();
    let stopped = false;
    const stop = new Promise((resolve) => {
      this.stop.onclick = () => {
        stopped = this.element.hidden = true;
        resolve(undefined);
      };
    });
    const report = (done, total) => {
      const left = done ? Math.ceil((((performance.now() - began) / done) * (total - done)) / 1000) : 0;
      this.bar.value = total ? done / total : 0;
      this.#say({ said: `${doing}: ${done} of ${total}${left > 1 ? `, about ${left} s left` : ""}` });
    };
    this.bar.value = 0;
    this.element.hidden = false;
    const working = work(report, () => stopped).finally(() => {
      this.element.hidden = true;
      turn.resolve();
    });
    return Promise.race([working, stop]);
  }

  #say({ said = this.#said, waiting = this.#waiting }) {
    this.#said = said;
    this.#waiting = waiting;
    this.text.textContent = waiting ? `${said}; ${waiting} more to do` : said;
  }
}

export class Help {
  constructor() {
    const rows = (isTouch() ? TOUCHES : KEYS).map(([keys, text]) => el("div", {}, el("dt", { text: keys }), el("dd", { text })));
    this.element = el("dialog", { class: "g-help", "aria-label": "Help" });
    this.element.append(
      el("h2", { text: "How it works" }),
      el("p", {
        text: "Mark a few pixels of a thing in one photo. The same kind of thing is then looked for in all photos. Where a mask is wrong, mark that place, too: each mark counts in all photos.",
      }),
      isTouch() ? "" : el("p", { text: "On a touch screen one finger marks, two fingers move and zoom." }),
      el("dl", {}, ...rows),
      button("close", "Close the help (Esc)", () => this.toggle(false)),
    );
    this.element.addEventListener("click", (event) => event.target === this.element && this.toggle(false));
  }

  toggle(open = !this.element.open) {
    if (open && !this.element.open) this.element.showModal();
    if (!open && this.element.open) this.element.close();
  }
}
