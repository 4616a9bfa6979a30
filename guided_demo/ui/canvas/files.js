/** The buttons that bring files in and out: photos, folders, guidance, masks. */

import { button, el } from "./dom.js";

const IMAGES = "image/*,.tif,.tiff,.bmp,.webp,.avif,.jp2";
const GUIDANCE = ".safetensors";

export const isGuidance = (name) => name.toLowerCase().endsWith(GUIDANCE);

function chooser(attributes, onFiles) {
  const input = el("input", { type: "file", hidden: true, tabindex: "-1", "aria-hidden": "true", ...attributes });
  input.addEventListener("change", () => {
    onFiles([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    input.value = "";
  });
  return input;
}

export class Files {
  /** `actions` has {add(files), saveGuidance, exportMasks}; without `add`, photos come from elsewhere. */
  constructor(actions) {
    const photos = chooser({ accept: IMAGES, multiple: true, "data-role": "photos" }, actions.add);
    const folder = chooser({ webkitdirectory: true, multiple: true, "data-role": "folder" }, actions.add);
    const guidance = chooser({ accept: GUIDANCE, "data-role": "guidance" }, actions.add);
    const adders = actions.add && [
      button("photos", "Add photos; you can also drop them here", () => photos.click(), {
        text: "Add photos",
        class: "g-primary",
      }),
      button("folder", "Add all photos of a folder", () => folder.click(), { text: "Folder" }),
    ];
    this.adding = el("div", { class: "g-adding" }, ...(adders ?? []), photos, folder);
    this.save = button("save", "Save guidance", actions.saveGuidance, { text: "Save", label: "Save guidance" });
    const load = button("load", "Load guidance: what was learned before, on the photos here", () => guidance.click(), {
      text: "Load",
      label: "Load guidance",
    });
    this.masks = button(
      "save",
      "A zip with one indexed PNG for each photo: pixel value 0 is background, 1 the first class, and so on",
      actions.exportMasks,
      { text: "Download masks" },
    );
    const about =
      "Guidance is what was learned from your marks: a small file. Load it another day, on other photos, or merge it with a colleague's.";
    const learned = el(
      "div",
      { class: "g-guidance", role: "group", "aria-label": "Guidance", title: about },
      el("span", { text: "Guidance" }),
      this.save,
      load,
    );
    this.element = el("div", { class: "g-files" }, learned, this.masks, guidance);
  }

  show({ guided, photos }) {
    this.save.disabled = !guided;
    this.masks.disabled = !guided || !photos;
  }
}
