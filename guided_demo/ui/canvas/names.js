/** What photos are called where there is little room, and in which order their names are. */

import { el, letters } from "./dom.js";

const LAST = /^(.*?)(\.\w{1,5})?$/su; // a name, and the ending of its file
const KEPT = 4; // letters before the ending that are always seen: cameras count there, in names of eight

/** Compares what has a name as people count: 2 before 10. */
export const byName = (() => {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  return (one, other) => compare(one.name, other.name);
})();

/** The names of files by their paths, each with as many of its folders as tell it apart from the others. */
export function toldApart(paths) {
  const names = new Map();
  let alike = [...new Set(paths)];
  for (let parts = 1; alike.length; parts += 1) {
    const groups = [...Map.groupBy(alike, (path) => path.split("/").slice(-parts).join("/"))];
    for (const [name, [path, ...others]] of groups) if (!others.length) names.set(path, name);
    alike = groups.flatMap(([, group]) => (group.length > 1 ? group : []));
  }
  return names;
}

/** A name that is cut in its middle where there is no room for all of it, so that its end stays. */
export class Cut {
  constructor(name) {
    this.start = el("span");
    this.end = el("span");
    // From right to left, where it is read so: else its end would be on the wrong side.
    this.element = el("span", { class: `g-cut ${name}`, dir: "auto" }, this.start, this.end);
  }

  show(name) {
    const [, stem, ending = ""] = name.match(LAST);
    const parts = letters(stem);
    const end = parts.length >= 2 * KEPT ? parts.slice(-KEPT).join("") + ending : ""; // of a short one, the start says more
    this.start.textContent = name.slice(0, name.length - end.length);
    this.end.textContent = end;
  }
}
