/**
 * Talks to the server. Changes leave one at a time, in order and numbered, so that a repeated one is applied once; marks
 * waiting for one image travel together. Reads leave one at a time, too, when the changes before them are done; a change
 * does not wait for a read, so an answer to a read may be older than what is known by then: its revision tells.
 */

const LONGEST_WAIT = 4000;
const MOST_PLACES = 10000; // in the marks that travel together: the server takes twice that

export class Channel {
  #call;
  #changes = [];
  #reads = [];
  #busy = false;
  #number = 0;

  /** `call(message)` resolves to the reply, or to undefined where the server was not reached. */
  constructor(call, { onActivity = () => {}, onTrouble = () => {} } = {}) {
    this.#call = call;
    this.onActivity = onActivity;
    this.onTrouble = onTrouble;
  }

  get idle() {
    return !this.#changes.length && !this.#reads.length;
  }

  /** The changes that were not answered yet; the first of them may have arrived. */
  get undelivered() {
    return this.#changes.map(({ message }) => message);
  }

  /** A request that changes the session. */
  change(message) {
    const last = this.#changes.at(-1);
    const joins = message.do === "mark" && last?.message.do === "mark" && last.message.key === message.key && !last.sent;
    if (joins && places(last.message.marks) + places(message.marks) <= MOST_PLACES) {
      last.message.marks.push(...message.marks);
      return last.promise;
    }
    this.goOnFrom(message.number ?? this.#number + 1);
    return this.#enqueue(this.#changes, { number: this.#number, ...message });
  }

  /** Changes that have no number yet have larger ones from here on. */
  goOnFrom(number = 0) {
    this.#number = Math.max(this.#number, number);
  }

  /** A request that only asks; it waits for the changes made before it. */
  read(message) {
    return this.#enqueue(this.#reads, message);
  }

  /** A request of which only the last of its kind counts: one that still waits is answered with nothing. */
  latest(message) {
    const isOld = (request) => request.isReplaceable && !request.sent && request.message.do === message.do;
    for (const request of this.#reads.filter(isOld)) {
      this.#reads.splice(this.#reads.indexOf(request), 1);
      request.resolve({});
    }
    return this.#enqueue(this.#reads, message, true);
  }

  #enqueue(queue, message, isReplaceable = false) {
    const request = { message, sent: false, isReplaceable };
    request.promise = new Promise((resolve) => (request.resolve = resolve));
    queue.push(request);
    this.#next();
    return request.promise;
  }

  /** Send what may be sent now. */
  #next() {
    if (!this.#changes.length) this.#send(this.#reads);
    this.#send(this.#changes);
    if (this.#busy === this.idle) this.onActivity((this.#busy = !this.idle));
  }

  async #send(queue) {
    if (!queue.length || queue[0].sent) return;
    queue[0].sent = true;
    const reply = await this.#deliver(queue[0].message);
    queue.shift().resolve(reply);
    // Let whoever waited for this answer act on it before the next request leaves.
    await Promise.resolve();
    this.#next();
  }

  /** Repeats until the server answers: the number makes a repetition harmless. */
  async #deliver(message) {
    for (let wait = 250; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      const reply = await this.#call(message).catch(() => undefined);
      if (reply !== undefined && reply !== null) {
        this.onTrouble(false);
        return reply;
      }
      this.onTrouble(true);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

function places(marks) {
  return marks.reduce((sum, { stroke = [] }) => sum + Math.max(1, stroke.length), 0);
}
