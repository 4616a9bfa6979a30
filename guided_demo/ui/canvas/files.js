/** The buttons that bring files in and out: photos and whatever belongs to them, guidance, masks, projects. */

import { button, el } from "./dom.js";
import { Menu } from "./menu.js";

const SAVED = ".safetensors,.zip";
const ANY = `image/*,.tif,.tiff,.bmp,.webp,.avif,.jp2,.json,.txt,.yaml,.yml,${SAVED}`;

const ADD = "Add photos, and masks, COCO, YOLO or labelme files that belong to them, or zips; you can also drop them here";

function chooser(attributes, onFiles) {
  const input = el("input", { type: "file", hidden: true, tabindex: "-1", "aria-hidden": "true", ...attributes });
  input.addEventListener("change", () => {
    onFiles([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    input.value = "";
  });
  return input;
}

export class Files {
  #downloads = [];
  #shown = "";

  /** `actions` has {add(files), saveGuidance, download(form)}; without `add`, photos come from elsewhere. */
  constructor(actions) {
    this.actions = actions;
    const photos = chooser({ accept: ANY, multiple: true, "data-role": "photos" }, actions.add);
    const folder = chooser({ webkitdirectory: true, multiple: true, "data-role": "folder" }, actions.add);
    const saved = chooser({ accept: SAVED, "data-role": "guidance" }, actions.add);
    const adders = actions.add && [
      button("photos", ADD, () => photos.click(), {
        text: "Add photos",
        class: "g-primary",
      }),
      button("folder", "Add all photos of a folder, with what belongs to them", () => folder.click(), { text: "Folder" }),
    ];
    this.adding = el("div", { class: "g-adding" }, ...(adders ?? []), photos, folder);
    this.save = button("save", "Save guidance: what was learned from your marks", actions.saveGuidance, {
      text: "Save",
      label: "Save guidance",
    });
    this.openSaved = () => saved.click();
    const load =
      actions.add &&
      button("load", "Load guidance, or open a project, that was saved before", this.openSaved, {
        text: "Load",
        label: "Load guidance",
      });
    this.masks = button(
      "save",
      "A zip with one indexed PNG for each photo, and classes.txt, whose lines name pixel values 0 (background), 1, 2 …",
      () => actions.download("png"),
      { text: "Download masks" },
    );
    this.menu = new Menu("more", "Other forms of masks, and the whole project as a file", {
      label: "More downloads",
      class: "g-more",
    });
    const about =
      "Guidance is what was learned from your marks: a small file. Load it another day, on other photos, or merge it with a colleague's.";
    const learned = el(
      "div",
      { class: "g-guidance", role: "group", "aria-label": "Guidance", title: about },
      el("span", { text: "Guidance" }),
      this.save,
      load,
    );
    const made = el("div", { class: "g-made" }, this.masks, this.menu.button, this.menu.list);
    this.element = el("div", { class: "g-files" }, learned, made, saved);
  }

  /** What can be downloaded: [{form, group, title, about}, …]. */
  offer(downloads = []) {
    this.#downloads = downloads;
    this.#shown = "";
  }

  show({ guided, photos }) {
    this.save.disabled = !guided;
    this.masks.disabled = !guided || !photos;
    const shown = JSON.stringify([guided, photos > 0]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const { actions } = this;
    const groups = new Map();
    for (const { form, group, title, about } of this.#downloads) {
      const disabled = !photos || (group === "Masks" && !guided);
      const item = { title, about, disabled, choose: () => actions.download(form) };
      groups.set(group, [...(groups.get(group) ?? []), item]);
    }
    const work = groups.get("Work") ?? [];
    work.push({
      title: "Guidance",
      about: "What was learned, for other photos or a colleague",
      disabled: !guided,
      choose: actions.saveGuidance,
    });
    if (actions.add) {
      const about = "A project or guidance saved before; what is here stays";
      work.push({ title: "Open …", about, choose: this.openSaved });
    }
    this.menu.show([...groups.set("Work", work)]);
  }
}
