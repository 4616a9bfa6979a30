/** Moves files between the page and the server: photos and guidance in, guidance and masks out. */

import { el } from "./dom.js";
import { isGuidance } from "./files.js";

const CHUNK = 4;

export class Transfer {
  /** `take(reply)` shows what a reply says of the session. */
  constructor({ host, channel, progress, notices, take }) {
    Object.assign(this, { host, channel, progress, notices, take });
  }

  /** Photos and guidance files, told apart by their names. */
  async add(files) {
    for (const { file, name } of files.filter(({ name }) => isGuidance(name))) await this.#addGuidance(file, name);
    const photos = files.filter(({ name }) => !isGuidance(name));
    if (photos.length) await this.#addPhotos(photos);
  }

  async #addGuidance(file, name) {
    const reply = await this.host.send(file, name, "guidance");
    this.take(reply);
    if (!reply.error) this.notices.show(`The guidance ${name} was loaded and applied to all photos.`);
  }

  async #addPhotos(photos) {
    const problems = await this.progress.during("Reading photos", (report, isStopped) =>
      sendAll(photos, {
        send: (file, name, place) => this.host.send(file, name, "photo", place),
        work: () => this.host.work({ do: "add_photos" }, () => {}),
        onProgress: (done, reply) => {
          report(done, photos.length);
          this.take(done > CHUNK ? { ...reply, focus: null } : reply); // open the first of all, not of every few
        },
        isStopped,
      }),
    );
    if (!problems?.length) return;
    const details = problems.map(({ name, sentence }) => (sentence.includes(name) ? sentence : `${name}: ${sentence}`));
    this.notices.show(`${problems.length} of ${photos.length} files could not be added.`, { problem: true, details });
  }

  async saveGuidance() {
    const reply = await this.channel.read({ do: "save_guidance" });
    if (reply.error) this.take(reply);
    else download(reply.name, [fromBase64(reply.data)], "application/octet-stream");
  }

  async exportMasks() {
    await this.progress.during("Making masks", async (report, isStopped) => {
      const made = await this.host.work({ do: "export" }, ({ done, total }) => report(done, total));
      if (made.error) return this.take(made);
      const parts = [];
      while (parts.length < made.parts && !isStopped()) {
        const reply = await this.channel.read({ do: "take", part: parts.length });
        if (reply.error) return this.take(reply);
        parts.push(fromBase64(reply.data));
      }
      if (!isStopped()) download(made.name, parts, "application/zip");
    });
  }

  /** Take files dropped on `target`; `element` shows that they may be. */
  acceptDrops(target, element) {
    const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const show = (on) => element.classList.toggle("g-dropping", on);
    target.addEventListener("dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      show(true);
    });
    target.addEventListener("dragleave", (event) => event.relatedTarget || show(false));
    target.addEventListener("drop", async (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      show(false);
      this.add(await droppedFiles(event.dataTransfer));
    });
  }
}

/** Every file below what was dropped, with its path as its name; hidden files are left out. */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const walk = async (entry) => {
    if (entry.name.startsWith(".")) return;
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, name: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    const batch = () => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    for (let part = await batch(); part.length; part = await batch()) for (const inner of part) await walk(inner);
  };
  for (const entry of entries) await walk(entry);
  return found;
}

/** Send `files` and have them encoded, a few at a time; the next few travel while the server works on the last. */
async function sendAll(files, { send, work, onProgress, isStopped }) {
  const problems = [];
  let working = Promise.resolve();
  let done = 0;
  for (let at = 0; at < files.length && !isStopped(); at += CHUNK) {
    const chunk = files.slice(at, at + CHUNK);
    const sent = await Promise.all(chunk.map(({ file, name }, i) => send(file, name, at + i)));
    sent.forEach((reply, i) => reply.error && problems.push({ name: chunk[i].name, sentence: reply.error }));
    await working;
    working = work().then((reply) => {
      problems.push(...(reply.problems ?? (reply.error ? [{ name: "", sentence: reply.error }] : [])));
      onProgress((done += chunk.length), reply);
    });
  }
  await working;
  return problems;
}

function download(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
