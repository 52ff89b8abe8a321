/**
 * One connection for everything a browser follows: any number of chats, each from a place of its own, who is in them,
 * and what is the person's own. Owns which chats are asked for, and where each of them is. Knows nothing of tabs but
 * what each one wants.
 */

import { followStream } from "./durable-stream.js";
import { isAfter } from "./stream-state.js";

/** @import {Dialect, LiveOptions} from "./types.js" */

/** What is wanted within this time is asked for at once. */
const SETTLE = 20;
/** Tabs that want something say so again and again, in the background at least once a minute. */
const FORGOTTEN = 200_000;
const MOST = 100;

/** Of `/api/live`: an offset only counts what has come. @returns {Dialect} */
function liveDialect() {
  let count = 0;
  const next = () => String(++count).padStart(16, "0");
  /** @param {string} [offset] */
  const control = (offset) => ({ type: /** @type {const} */ ("control"), offset, upToDate: true, closed: false });
  return {
    query: ({ live = "no", cursor = "" }) => ({ live, cursor }),
    async page(response) {
      const { frames, ...rest } = await response.json();
      return { items: frames, offset: frames.length ? next() : undefined, closed: false, ...rest };
    },
    events: ({ type, data, id, tagged }) =>
      type === "end" // by itself: the server stops
        ? [control()]
        : [{ type: "data", items: [[type, JSON.parse(data), tagged ? id : undefined]] }, control(next())],
  };
}

export class LiveConnection {
  #options;
  /** By tab. @type {Map<string, {chats: Record<string, string>, at: number}>} */
  #wants = new Map();
  /** How far each chat has been read. @type {Record<string, string>} */
  #places = {};
  /** What the request under way asks for. @type {string[]} */
  #asked = [];
  /** Who was last in each chat. @type {Record<string, object>} */
  #people = {};
  #nudges = new EventTarget();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  mine;

  /** @param {LiveOptions} options */
  constructor(options) {
    this.#options = options;
    this.mine = options.mine;
  }

  /** The chats that are being followed, and how far. @returns {Record<string, string>} */
  get places() {
    return Object.fromEntries(this.#asked.map((id) => [id, this.#places[id]]));
  }

  /** Everything that a tab follows, with its own places. @param {string} tab @param {Record<string, string>} chats */
  want(tab, chats) {
    const { env, publish } = this.#options;
    const before = this.#wants.get(tab)?.chats ?? {};
    this.#wants.set(tab, { chats, at: env.now() });
    for (const id in chats) {
      if (!(id in this.#places)) {
        this.#places[id] = chats[id];
        this.#settling ??= env.setTimeout(() => {
          this.#settling = undefined;
          this.nudge("reopen");
        }, SETTLE);
      }
      if (!(id in before) && this.#people[id]) publish({ type: "presence", detail: this.#people[id] });
    }
  }

  /** Goes on following what it wanted until there is another reason to ask anew. @param {string} tab */
  forget(tab) {
    this.#wants.delete(tab);
  }

  /** @param {string} type   as followStream knows them */
  nudge(type) {
    this.#nudges.dispatchEvent(new Event(type));
  }

  /** @param {AbortSignal} signal */
  async run(signal) {
    const { url: _, mine: __, publish, ...options } = this.#options;
    await new Promise((resolve) => options.env.setTimeout(() => resolve(undefined), SETTLE));
    options.env.clearTimeout(this.#settling);
    this.#settling = undefined;
    const batches = followStream({ ...options, url: () => this.#url(), dialect: liveDialect(), signal, nudges: this.#nudges });
    for await (const { items } of batches) for (const frame of items) this.#take(frame);
    options.env.clearTimeout(this.#settling);
  }

  #url() {
    const { env, url } = this.#options;
    for (const [tab, { at }] of this.#wants) if (env.now() - at > FORGOTTEN) this.#wants.delete(tab);
    const wanted = new Set([...this.#wants.values()].flatMap(({ chats }) => Object.keys(chats)));
    this.#asked = [...wanted].slice(-MOST);
    this.#places = Object.fromEntries([...wanted].map((id) => [id, this.#places[id]]));
    const target = new URL(url, globalThis.document?.baseURI);
    target.searchParams.set("chats", this.#asked.map((id) => `${id}:${this.#places[id]}`).join());
    if (this.mine) target.searchParams.set("mine", this.mine);
    return target;
  }

  /** @param {[string, any, string?]} frame */
  #take([type, data, id]) {
    const { publish } = this.#options;
    if (id) this.mine = id;
    if (type === "mine") publish({ type, detail: data, mine: id });
    if (type === "presence") {
      this.#people[data.id] = data;
      publish({ type, detail: data });
    }
    if (type === "gone") {
      delete this.#places[data.id];
      for (const { chats } of this.#wants.values()) delete chats[data.id];
      publish({ ...data, type });
    }
    const from = this.#places[data.id];
    if (type !== "batch" || from === undefined) return;
    const { events: items, nextOffset: offset, upToDate } = data;
    if (isAfter(offset, from)) this.#places[data.id] = offset;
    publish({ type, id: data.id, from, batch: { items, offset, upToDate } });
  }
}
