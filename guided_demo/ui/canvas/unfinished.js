/** What was under way as the page was left, which may load itself again when a lost connection is back. */

const UNREAD =
  "The page was loaded again while files were being read. Some may be missing: add them all again, those that are here stay as " +
  "they are.";

/** Send the changes, have the files read that had arrived and ask for the others, and keep what is under way from now on.
 * `host.unfinished` is described in canvas.js. */
export async function goOn(annotator) {
  const { host, channel, transfer, notices } = annotator;
  const { changes, files, downloads, hand } = host.unfinished.last ?? { changes: [], files: 0, downloads: 0, hand: null };
  const isTakenUp = hand && annotator.takeUp(hand); // before anything else: the next mark may be made at any time
  if (downloads)
    notices.show("The page was loaded again while a download was made. Ask for it again.", { problem: true });
  // The numbers tell the server which of them had arrived; one that was started again does not know, but has the marks.
  const [first] = changes;
  if (first?.do === "mark") {
    const { marks = [] } = await channel.read({ ...first, do: "open" });
    const known = new Set(marks.map((mark) => JSON.stringify(mark)));
    first.marks = first.marks.filter((mark) => !known.has(JSON.stringify(mark)));
  }
  const sent = changes.map((message) => annotator.change(message));
  host.unfinished.keep(() => {
    const { hand } = annotator;
    return { changes: channel.undelivered, files: transfer.unread, downloads: transfer.unmade, hand };
  });
  if (files) {
    await transfer.readArrived();
    notices.show(UNREAD, { problem: true });
  }
  await Promise.all(sent);
  if (hand && !isTakenUp) annotator.choose(hand.label); // a class that only these changes brought
  if (sent.length) await annotator.showMarks();
}
