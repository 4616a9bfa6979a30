/** New classes and new names, what the classes are called before the server has answered, and which is chosen as they change. */

import { keyed, short } from "./dom.js";

const UNKNOWN = "#888888"; // the colour of a class until the server has chosen one

export class Naming {
  #asked = []; // what was asked for, each as what makes the new classes of the old
  #names = []; // of the classes there were
  #gone = null; // the class that was chosen until it went, and the one that is instead

  constructor(annotator) {
    this.annotator = annotator;
  }

  /** The server's `classes` as they are once it has done what it was asked for. */
  expected(classes) {
    return this.#asked.reduce((changed, change) => change(changed), classes);
  }

  /** Which of `classes` is chosen where `active` was: the one in its place that undo gave another name; or, where there is none,
   * `instead`, until that is back. */
  follow(classes, active, instead) {
    const [was, names] = [this.#names, classes.map(({ name }) => name)];
    const gone = this.#gone?.instead === active ? this.#gone : null; // else another was chosen since
    this.#names = names;
    this.#gone = null;
    if (gone && names.includes(gone.name)) return gone.name;
    this.#gone = gone;
    if (names.includes(active)) return active;
    const place = was.length === names.length ? was.indexOf(active) : -1;
    if (place >= 0) return names[place];
    this.#gone = { name: active, instead };
    return instead;
  }

  /** One that is there already is chosen. */
  async add(name) {
    if (this.#has(name)) return this.annotator.choose(name);
    const add = (classes) => (classes.some((item) => item.name === name) ? classes : [...classes, { name, color: UNKNOWN }]);
    return this.#ask(name, add, { do: "add_class", name });
  }

  /** `was` is what marks are called that the server has not renamed yet. Where another class has the name, they may be one. */
  async rename(name, to) {
    if (this.#has(to)) return (await this.#areOne(name, to)) && this.#merge(name, to);
    const rename = (classes) => classes.map((item) => (item.name === name ? { ...item, name: to, was: name } : item));
    return this.#ask(to, rename, { do: "rename_class", name, to });
  }

  /** Its marks may be on photos that are not seen, so it is said that they go. */
  async remove(name) {
    const { annotator } = this;
    const { marks } = await annotator.channel.read({ do: "count_marks", name });
    const { error } = await annotator.change({ do: "remove_class", name });
    if (error || !marks) return;
    const what = marks === 1 ? "its mark" : `its ${marks} marks`;
    annotator.notices.offer(`“${short(name)}” and ${what} were removed. ${keyed("Undo", "Z")} brings them back.`);
  }

  #merge(name, to) {
    const merge = (classes) =>
      classes.filter((item) => item.name !== name).map((item) => (item.name === to ? { ...item, was: name } : item));
    return this.#ask(to, merge, { do: "merge_class", name, to });
  }

  async #areOne(name, to) {
    const { channel, question } = this.annotator;
    const { marks } = await channel.read({ do: "count_marks", name });
    const moving = marks === 1 ? "1 mark moves" : `${marks || "No"} marks move`;
    return question.ask(`Merge “${name}” into “${to}”?`, `${moving}. ${keyed("Undo", "Z")} takes it back.`, "Merge", "Keep both");
  }

  #has(name) {
    return this.annotator.named.some((item) => item.name === name);
  }

  /** Ask for other classes, which are known by `change` before the answer comes. One of them is chosen at once: a mark made until
   * then is meant for that one. */
  async #ask(chosen, change, message) {
    const { annotator } = this;
    const before = annotator.active;
    this.#asked = [...this.#asked, change];
    annotator.set({ active: chosen });
    let isStill = false;
    const { error } = await annotator.change(message, () => {
      isStill = annotator.active === chosen;
      this.#asked = this.#asked.filter((other) => other !== change);
    });
    if (isStill) annotator.choose(error ? before : chosen);
  }
}
