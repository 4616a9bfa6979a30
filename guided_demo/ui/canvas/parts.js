/** The annotator's parts: each made, told what the others do, and put in its place. */

import { Agreement } from "./agreement.js";
import { Channel } from "./channel.js";
import { Classes } from "./classes.js";
import { button, el } from "./dom.js";
import { Files } from "./files.js";
import { Found } from "./found.js";
import { Gallery } from "./gallery.js";
import { Hint } from "./hint.js";
import { listen } from "./keys.js";
import { Looks, nextView } from "./looks.js";
import { BACKGROUND } from "./marks.js";
import { Naming } from "./naming.js";
import { Help, Notices, Progress, Question } from "./overlay.js";
import { Pictures } from "./pictures.js";
import { Scope, otherScope } from "./scope.js";
import { Stage } from "./stage.js";
import { Suggestion } from "./suggestion.js";
import { Tools } from "./tools.js";
import { Transfer } from "./transfer.js";

/** Everything that `annotator` shows and hears with, by name; `element` is what holds it all. */
export function parts(annotator) {
  const { host } = annotator;
  const change = (message) => annotator.change(message);
  const look = (wish) => annotator.look(wish);
  const take = (reply) => annotator.take(reply);
  const set = (changes) => annotator.set(changes);
  const [notices, question, progress, help] = [new Notices(), new Question(), new Progress(), new Help()];
  const naming = new Naming(annotator);
  const made = { notices, question, progress, help, naming, scope: new Scope((scope) => look({ scope })) };
  const channel = new Channel((message) => host.call(message), {
    onActivity: (busy) => made.element.classList.toggle("g-busy", busy),
    onTrouble: (trouble) => annotator.trouble(trouble),
  });
  const stage = new Stage({
    settings: () => annotator.settings(),
    isSizing: () => made.tools.isSizing,
    onMark: (mark) => annotator.mark(mark),
    onOutline: () => set({}),
    onBlurred: () => annotator.sharpen(),
    onPaint: (view) => made.suggestion.follow(view),
  });
  const looks = new Looks({ look, opacity: (opacity) => set({ opacity }) }, annotator);
  const nextClick = button("target", "Open the photo where a click helps most, and show where (N)", () => annotator.suggest(), {
    text: "Next click",
    class: "g-suggest",
  });
  const tools = new Tools(
    {
      tool: (tool) => set({ tool }),
      undo: () => annotator.undo(),
      redo: () => change({ do: "redo" }),
      clear: () => change({ do: "clear" }),
      step: (by) => annotator.step(by),
      zoom: (factor) => stage.zoom(factor),
      fit: () => stage.fit(),
      help: () => help.toggle(),
      brushSize: (brush) => set({ brush }),
      sizing: () => stage.draw(false),
    },
    annotator,
    looks.panel.button,
    nextClick,
  );
  const classes = new Classes({
    choose: (name) => annotator.choose(name),
    add: (name) => made.naming.add(name),
    rename: (name, to) => made.naming.rename(name, to),
    recolor: (name, color) => change({ do: "recolor_class", name, color }),
    remove: (name) => made.naming.remove(name),
  });
  const gallery = new Gallery({
    read: (message) => channel.read(message),
    actions: {
      open: (key) => annotator.open(key),
      remove: (keys) => annotator.takeOut(keys),
      correct: (photo, correct) => change({ do: "mark_correct", photo, correct }),
    },
    onProgress: (waiting) => {
      made.element.classList.toggle("g-catching-up", waiting > 0);
      annotator.showFound();
    },
    onOrder: () => annotator.showOrder(),
  });
  const pictures = new Pictures({ read: (message) => channel.latest(message) });
  const suggestion = new Suggestion({
    find: (except, seconds) => gallery.leastSure(except, seconds),
    open: (key) => key === annotator.current || annotator.open(key),
  });
  const found = new Found({ open: (key) => annotator.open(key) });
  const agreement = new Agreement({
    read: (message) => channel.read(message),
    isQuiet: () => !made.element.matches(".g-catching-up"),
  });
  const transfer = new Transfer({ host, channel, progress, notices, take, done: () => made.hint.acted() });
  const files = new Files({
    add: host.send && ((files) => transfer.add(files)),
    saveGuidance: () => transfer.saveGuidance(),
    download: (form) => transfer.download(form),
  });
  Object.assign(made, { host, channel, stage, looks, tools, classes, gallery, pictures });
  Object.assign(made, { found, suggestion, nextClick, agreement, transfer, files });
  Object.assign(made, layout(annotator, made));
  const target = host.wholePage ? document : made.element;
  if (host.send) transfer.acceptDrops(target, made.element);
  listen(target, stage, keyActions(annotator, made));
  return made;
}

function layout(annotator, made) {
  const { host, stage, classes, scope, tools, looks, suggestion } = made;
  const { files, gallery, found, agreement, progress, notices, question, help } = made;
  const count = el("h2", { class: "g-count" });
  const hint = new Hint({
    firstRun: host.wholePage,
    point: (step) => pointAt(step, element),
    leave: () => stage.ink.focus({ preventScroll: true }),
  });
  const top = el("div", { class: "g-top" }, classes.element, scope.element);
  stage.element.append(suggestion.element);
  const work = el("div", { class: "g-work" }, stage.element, looks.legend, looks.panel.element);
  const photo = { class: "g-main", "aria-label": "Photo", inert: true };
  const main = el("section", photo, hint.element, top, tools.element, work, tools.below);
  const dismiss = () => annotator.change({ do: "remove_images", keys: annotator.server.samples });
  const samples = button("close", "Take the sample photos out of the gallery", dismiss, {
    text: "Take out the sample photos",
    class: "g-samples",
    hidden: true,
  });
  const unfold = () => more.setAttribute("aria-expanded", String(side.classList.toggle("g-unfolded")));
  const tip = "Find, choose and sort photos; see how the masks agree";
  const more = button("sift", tip, unfold, { label: "More of the gallery", class: "g-unfold", "aria-expanded": "false" });
  const head = el("div", { class: "g-head" }, count, more, files.adding);
  const tiles = [samples, gallery.tools, found.element, gallery.element];
  const rows = [head, progress.element, ...tiles, agreement.element, files.element];
  const side = el("section", { class: "g-side", "aria-label": "Gallery", inert: true }, ...rows);
  const above = [notices.element, question.element, help.element];
  const element = el("div", { class: "guided", "data-ready": "false" }, main, side, ...above);
  // Keys are the photo's again when a mouse has chosen from a list or a class or set a slider, which would take letters and arrows
  // for another choice.
  let pressed = null;
  element.addEventListener("pointerdown", ({ target }) => (pressed = target));
  element.addEventListener("focusout", ({ target }) => target === pressed && (pressed = null));
  const isChosen = ({ target }) => target === pressed && target.matches("select, [type=range]");
  element.addEventListener("change", (event) => isChosen(event) && stage.ink.focus({ preventScroll: true }));
  const isClass = ({ target, detail }) => detail > 0 && target.closest(".g-choose");
  element.addEventListener("click", (event) => isClass(event) && stage.ink.focus({ preventScroll: true }));
  return { element, main, side, count, hint, samples };
}

/** Show where the step of the first run is to be done. */
function pointAt(step, element) {
  if (step === null) delete element.dataset.step;
  else element.dataset.step = step + 1;
}

function keyActions(annotator, { stage, gallery, help }) {
  const look = () => annotator.server.look;
  return {
    tool: (tool) => annotator.set({ tool }),
    classNumber: (number) => annotator.choose(annotator.named[number]?.name),
    brush: (factor) => annotator.set({ brush: annotator.brush * factor }),
    undo: () => annotator.undo(),
    redo: () => annotator.change({ do: "redo" }),
    step: (by) => annotator.step(by),
    suggest: () => annotator.suggest(),
    correct: () => annotator.toggleCorrect(),
    view: (by) => annotator.look({ view: nextView(look().view, by) }),
    scope: () => annotator.look({ scope: otherScope(look().scope) }),
    takeOut: () => gallery.picking.keys.size && gallery.picking.takeOut(),
    leave: () => annotator.leave(),
    help: (open) => help.toggle(open),
    markHere: (background) => stage.markAtKeyboardCursor(background ? BACKGROUND : annotator.active),
  };
}
