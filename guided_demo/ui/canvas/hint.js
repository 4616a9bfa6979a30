/** The one sentence above the photo: what to do next. */

import { BACKGROUND } from "./marks.js";

const isTouch = () => window.matchMedia("(pointer: coarse)").matches;

/** `state` is the server's, with `active` (the class), `current` (the image) and `canAdd`. */
export function hint({ images, classes, marked, active, current, canAdd }) {
  if (!images.length)
    return canAdd ? "Drop photos here, or press Add photos." : "There are no photos.";
  if (classes.length < 2) return "Add a class first: a name for what you want to find.";
  const click = isTouch() ? "Tap" : "Click";
  if (marked.every((name) => name === BACKGROUND))
    return active === BACKGROUND
      ? `${click} on something that is not wanted, or choose a class.`
      : `${click} on “${short(active)}” in a photo. It is then found in all photos.`;
  if (!marked.includes(BACKGROUND))
    return isTouch()
      ? "Covers too much? Choose background, then tap there. All masks improve."
      : "Covers too much? Right-click there, and all masks improve.";
  if (current && !current.marks) return `Right already? Good. If not, ${click.toLowerCase()} where it is wrong.`;
  return "Correct whatever is still wrong, in any photo. Then download the masks.";
}

const short = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);
