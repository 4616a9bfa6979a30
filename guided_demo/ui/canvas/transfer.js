/** Moves files between the page and the server: whatever people bring in; guidance, masks and projects out. */

import { el } from "./dom.js";
import { byName } from "./names.js";

const CHUNK = 4;
const UNREADABLE = { error: "It cannot be read; see that it is still there and that you may open it, and add it again." };
const UNREAD = "The server failed or was not reached, and not all files were read. What is here is kept; add the files again.";
const UNMADE = "The server failed or was not reached. What is here is kept; ask for the download again.";
const USEFUL = "Nothing in there can be used here. Bring photos, masks or outlines of them, guidance, or projects.";

export class Transfer {
  #reading = new Set(); // {left: how many files are not read yet} of each lot
  #making = 0; // downloads
  #missing = { said: "" }; // which photos of projects are still to come, and the notice of that

  /** `take(reply)` shows what a reply says of the session; `done()` is called when something was brought or taken away. */
  constructor({ host, channel, progress, notices, take, done }) {
    Object.assign(this, { host, channel, progress, notices, take, done });
  }

  /** Photos, masks, guidance, projects … : the server tells them apart. */
  async add(files) {
    const visible = ordered(files.filter(({ name }) => !/(^|\/)\./.test(name)));
    if (!visible.length) return;
    const lot = { left: visible.length };
    this.#reading.add(lot);
    const told = await this.progress.during("Reading files", (report, isStopped) =>
      sendAll(visible, {
        send: (file, name, place) => this.host.send(file, name, place),
        work: (last, onProgress) => this.host.work({ do: "take_in", last }, onProgress),
        report: (done, total) => {
          lot.left = total - done;
          report(done, total);
        },
        take: this.take,
        isStopped,
      }),
    );
    this.#reading.delete(lot);
    if (told) this.#tell(told);
    if (told?.taken) this.done();
  }

  /** Have those files read that had arrived when the page was loaded again. */
  async readArrived() {
    const reply = await this.progress.during("Reading files", (report) =>
      this.host.work({ do: "take_in", last: true }, ({ done, total }) => report(done, total)),
    );
    if (reply && !reply.error) this.take(reply);
  }

  /** How many files were brought and are not read yet. */
  get unread() {
    return [...this.#reading].reduce((sum, { left }) => sum + left, 0);
  }

  /** How many downloads were asked for and are not saved yet. */
  get unmade() {
    return this.#making;
  }

  #tell({ problems, taken, failed }) {
    const details = problems.map(({ name, sentence }) => (sentence.includes(name) ? sentence : `${name}: ${sentence}`));
    if (failed) {
      this.notices.show(UNREAD, { problem: true, details });
    } else if (problems.length) {
      const count = (what) => (problems.length === 1 ? `One ${what}` : `${problems.length} ${what}s`);
      const said = taken ? `Taken in: ${taken}. ${count("problem")}:` : `${count("file")} could not be used:`;
      this.notices.show(said, { problem: true, details });
    } else if (!taken) {
      this.notices.show(USEFUL, { problem: true });
    } else if (!/^\d+ photos?$/.test(taken)) {
      this.notices.show(`Taken in: ${taken}.`);
      if (/project/.test(taken)) this.notices.raise(this.#missing.notice); // what came with it and lacks photos
    }
  }

  /** Say which photos are still to come, in place of what was said before. */
  tellMissing(said = "") {
    if (said === this.#missing.said) return;
    this.#missing.notice?.remove();
    this.#missing = { said, notice: said ? this.notices.show(said, { problem: true }) : null };
  }

  async saveGuidance() {
    const reply = await this.channel.read({ do: "save_guidance" });
    if (reply.error) return this.take(reply);
    this.done();
    download(reply.name, [fromBase64(reply.data)], "application/octet-stream");
  }

  /** Have the server make a download, and save it. */
  async download(form) {
    this.#making += 1;
    await this.progress.during("Making the download", async (report, isStopped) => {
      const made = await this.host.work({ do: "export", form }, ({ done, total }) => report(done, total));
      if (!made) return this.notices.show(UNMADE, { problem: true });
      if (made.error) return this.take(made);
      if (made.note) this.notices.show(made.note, { problem: true });
      const parts = [];
      while (parts.length < made.parts && !isStopped()) {
        const reply = await this.channel.read({ do: "take", made: made.made, part: parts.length });
        if (reply.error) return this.take(reply);
        parts.push(fromBase64(reply.data));
      }
      this.done();
      if (!isStopped()) download(made.name, parts, "application/zip");
    });
    this.#making -= 1;
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

/** Files chosen one by one as they come, then those of folders by their paths: disks list them in no order. */
function ordered(files) {
  const isOfFolder = ({ name }) => name.includes("/");
  return [...files.filter((file) => !isOfFolder(file)), ...files.filter(isOfFolder).sort(byName)];
}

/** Every file below what was dropped, with its path as its name; null for one, or a folder, that the system refuses to open.
 * What is hidden is left out. */
async function droppedFiles(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = [];
  const given = (give) => new Promise((resolve) => give(resolve, () => resolve(null)));
  const walk = async (entry) => {
    if (entry.name.startsWith(".")) return;
    const name = entry.fullPath.replace(/^\//, "");
    if (entry.isFile) {
      found.push({ file: await given((...answers) => entry.file(...answers)), name });
      return;
    }
    const reader = entry.createReader();
    const batch = () => given((...answers) => reader.readEntries(...answers));
    let part = await batch();
    for (; part?.length; part = await batch()) for (const inner of part) await walk(inner);
    if (!part) found.push({ file: null, name });
  };
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, name: entry.name });
    else await walk(entry);
  }
  return found;
}

/**
 * Send `files` and have them taken in, a few at a time; the next few travel while the server works on the last. Not before it has
 * begun, though: it takes in what is there by then, which may be the third of the next few without the first.
 */
async function sendAll(files, { send, work, report, take, isStopped }) {
  const problems = [];
  let taken = "";
  let working = Promise.resolve();
  let expected = files.length;
  let failed = false;
  const takeIn = async (last, begun) => {
    const reply = await work(last, ({ done, total, received }) => {
      begun();
      report(done, total + expected - received);
    });
    failed = !reply; // then what was sent waits at the server, and is taken in the next time
    if (failed) return;
    problems.push(...(reply.problems ?? (reply.error ? [{ name: "", sentence: reply.error }] : [])));
    taken = reply.taken ?? taken;
    if (!reply.error) take(reply);
  };
  for (let at = 0; at < files.length; at += CHUNK) {
    const chunk = files.slice(at, at + CHUNK);
    const hand = async ({ file, name }, i) => (file ? send(file, name, at + i) : UNREADABLE);
    const sent = await Promise.all(chunk.map((one, i) => hand(one, i).catch(() => UNREADABLE)));
    const refused = sent.map((reply, i) => ({ name: chunk[i].name, sentence: reply.error })).filter((file) => file.sentence);
    problems.push(...refused);
    expected -= refused.length;
    await working;
    const last = at + CHUNK >= files.length || isStopped();
    const { promise: begun, resolve } = Promise.withResolvers();
    working = takeIn(last, resolve);
    if (last) break;
    await Promise.race([begun, working]);
  }
  await working;
  return { problems, taken, failed };
}

function download(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
