/** New classes and new names, and what the classes are called before the server has answered. */

const UNKNOWN = "#888888"; // the colour of a class until the server has chosen one

export class Naming {
  #asked = []; // what was asked for, each as what makes the new classes of the old

  constructor(annotator) {
    this.annotator = annotator;
  }

  /** The server's `classes` as they are once it has done what it was asked for. */
  expected(classes) {
    return this.#asked.reduce((changed, change) => change(changed), classes);
  }

  add(name) {
    const add = (classes) => (classes.some((item) => item.name === name) ? classes : [...classes, { name, color: UNKNOWN }]);
    return this.#ask(name, add, { do: "add_class", name });
  }

  /** `was` is what marks are called that the server has not renamed yet. */
  rename(name, to) {
    const rename = (classes) => classes.map((item) => (item.name === name ? { ...item, name: to, was: name } : item));
    return this.#ask(to, rename, { do: "rename_class", name, to });
  }

  /** Ask for other classes, and choose one of them at once: a mark made before the answer comes is meant for that one. */
  async #ask(chosen, change, message) {
    const { annotator } = this;
    const before = annotator.active;
    const isNew = !annotator.named.some((item) => item.name === chosen);
    if (isNew) this.#asked = [...this.#asked, change];
    if (isNew) annotator.set({ active: chosen });
    let isStill = false;
    const { error } = await annotator.change(message, () => {
      isStill = annotator.active === (isNew ? chosen : before);
      this.#asked = this.#asked.filter((other) => other !== change);
    });
    if (isStill) annotator.choose(error ? before : chosen);
  }
}
