/**
 * Talks to the server: one request at a time, in order, numbered, so that a repeated request is applied once and an
 * answer never overtakes a newer one. Changes go before reads; marks waiting for one image travel together.
 */

const LONGEST_WAIT = 4000;

export class Channel {
  #call;
  #changes = [];
  #reads = [];
  #running = false;
  #number = 0;

  /** `call(message)` resolves to the reply, or to undefined where the server was not reached. */
  constructor(call, { onActivity = () => {}, onTrouble = () => {} } = {}) {
    this.#call = call;
    this.onActivity = onActivity;
    this.onTrouble = onTrouble;
  }

  get idle() {
    return !this.#running;
  }

  get hasChanges() {
    return this.#changes.length > 0;
  }

  /** A request that changes the session. */
  change(message) {
    const last = this.#changes.at(-1);
    if (message.do === "mark" && last?.message.do === "mark" && last.message.key === message.key && !last.sent) {
      last.message.marks.push(...message.marks);
      return last.promise;
    }
    return this.#enqueue(this.#changes, { ...message, number: ++this.#number });
  }

  /** A request that only asks; it waits for the changes made before it. */
  read(message) {
    return this.#enqueue(this.#reads, message);
  }

  #enqueue(queue, message) {
    const request = { message, sent: false };
    request.promise = new Promise((resolve) => (request.resolve = resolve));
    queue.push(request);
    this.#run();
    return request.promise;
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    this.onActivity(true);
    while (this.#changes.length || this.#reads.length) {
      const queue = this.#changes.length ? this.#changes : this.#reads;
      queue[0].sent = true;
      const reply = await this.#deliver(queue[0].message);
      queue.shift().resolve(reply);
      // Let whoever waited for this answer act on it before the next request leaves.
      await Promise.resolve();
    }
    this.#running = false;
    this.onActivity(false);
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
