/** The keyboard: every key does what a button does, and points can be placed without a mouse. */

const STEP = 4;
const LEAP = 32;
const ABOVE = new Set(["h", "?", "Escape"]); // what is meant for the page while the help is above it
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export const KEYS = [
  ["Click, drag", "mark the chosen class (right button: background)"],
  ["1 – 9", "choose a class"],
  ["0", "choose background: what is not wanted"],
  ["P  B  E", "point, brush, eraser"],
  ["L  R", "outline (lasso) and rectangle"],
  ["[  ]", "smaller and larger brush"],
  ["Z  Shift+Z", "undo (of an outline: its last corner), redo"],
  ["N", "next click: the photo where one helps most, and where"],
  ["C", "say that the masks of this photo are correct"],
  ["V  Shift+V", "next and previous way to see the masks"],
  ["S", "find it everywhere, or only this object"],
  ["← →", "previous and next photo"],
  ["Ctrl + click", "select photos of the gallery (Shift: up to here); Delete takes them out"],
  ["Wheel, + −", "zoom to the pointer"],
  ["Space + drag", "move the photo; F fits it"],
  ["Enter", "keyboard cursor: arrows move it (Shift: faster), Enter marks, Esc leaves"],
  ["H", "show or hide this help"],
];

/** What fingers do instead. */
export const TOUCHES = [
  ["Tap, drag", "mark the chosen class; choose background for what is not wanted"],
  ["Two fingers", "move the photo and zoom"],
  ["Outline", "tap the corners, and the first again to finish; undo takes back the last"],
  ["Rectangle", "drag from corner to corner"],
  ["Pen", "marks as a finger does; its other end erases"],
  ["Tap a photo", "open it; its tick says that its masks are correct"],
  ["Hold a photo", "select it, and others by tapping them, to take them out together"],
];

/**
 * Listen on `target`. `stage` is the drawing surface, `actions` has {tool, classNumber, brush, undo, redo, step, suggest, correct,
 * view, scope, takeOut, leave, help, markHere}.
 * Keys typed into a field, and those of the browser and the notebook (Ctrl, Alt, Meta) except undo, are left alone.
 */
export function listen(target, stage, actions) {
  const simple = {
    Delete: () => actions.takeOut(),
    p: () => actions.tool("point"),
    b: () => actions.tool("brush"),
    e: () => actions.tool("eraser"),
    l: () => actions.tool("polygon"),
    r: () => actions.tool("box"),
    "[": () => actions.brush(1 / 1.25),
    "]": () => actions.brush(1.25),
    "+": () => stage.zoom(1.25),
    "=": () => stage.zoom(1.25),
    "-": () => stage.zoom(1 / 1.25),
    f: () => stage.fit(),
    n: () => actions.suggest(),
    c: () => actions.correct(),
    s: () => actions.scope(),
    h: () => actions.help(),
    "?": () => actions.help(),
  };
  target.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    if (handle(event, keyOf(event))) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  target.addEventListener("keyup", (event) => {
    if (event.key !== " ") return;
    if (stage.gestures.spaceHeld) event.preventDefault();
    stage.gestures.spaceHeld = false;
  });
  // Another window came to the front: it hears when the key is let go. A focus that stays in this one has a next place.
  target.addEventListener("focusout", ({ relatedTarget }) => {
    if (!relatedTarget) stage.gestures.spaceHeld = false;
  });

  /** The letter or digit that is meant: where a key writes neither, as in Russian or French, what it is on other keyboards. */
  function keyOf({ key, code, shiftKey }) {
    if (key.length !== 1) return key;
    const [, kind, printed] = /^(Key|Digit)(.)$/.exec(code) ?? [];
    const isOther = kind === "Key" ? key > "\u007f" : kind && !shiftKey && !(key in simple);
    return (isOther ? printed : key).toLowerCase();
  }

  function handle(event, key) {
    const modal = document.querySelector("dialog:modal");
    if (stage.element.closest("[inert]")) return false; // nothing is there yet
    if (event.altKey || (modal && !(modal.matches(".g-help") && ABOVE.has(key)))) return false;
    if (key === "Tab") stage.leave(); // whoever goes from button to button means them with Space
    if (key === "z") return run(event.shiftKey ? actions.redo : actions.undo);
    if (event.ctrlKey || event.metaKey) return key === "y" && run(actions.redo);
    if (key === "v") return run(() => actions.view(event.shiftKey ? -1 : 1));
    if (key === " " && (isPage(event) || stage.isPointed)) return run(() => (stage.gestures.spaceHeld = true));
    if (key === "Enter" && isPage(event)) return run(() => enter(event));
    if (key === "Escape") return !document.querySelector(":popover-open") && run(leave); // which closes by itself
    if (key in ARROWS && !isSlider(event)) return arrow(event, ARROWS[key]);
    if (/^[0-9]$/.test(key)) return run(() => actions.classNumber(Number(key)));
    return key in simple && run(simple[key]);
  }

  function enter(event) {
    if (stage.gestures.isDrawingPolygon) stage.gestures.finishPolygon();
    else if (!stage.hasKeyboardCursor) stage.toggleKeyboardCursor(true);
    else actions.markHere(event.shiftKey);
  }

  function leave() {
    stage.gestures.cancel();
    stage.toggleKeyboardCursor(false);
    actions.leave();
    actions.help(false);
  }

  function arrow(event, [dx, dy]) {
    const step = event.shiftKey ? LEAP : STEP;
    if (stage.hasKeyboardCursor) return run(() => stage.moveKeyboardCursor(dx * step, dy * step));
    return dx !== 0 && run(() => actions.step(dx));
  }
}

function run(action) {
  action();
  return true;
}

const isSlider = (event) => event.target.type === "range";

const isTyping = (event) =>
  event.target.isContentEditable || (event.target.matches?.("input, textarea, select") && !isSlider(event));

/** Space and Enter press the button that has the focus; anywhere else they are ours. */
const isPage = (event) => !event.target.closest?.("button, a, summary, dialog, input");
