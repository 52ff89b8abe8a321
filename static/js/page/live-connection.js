/**
 * `/api/live`: any number of chats in one reply, each from a place of its own, who is in them, and what is the person's
 * own. Owns which chats are asked for, and where each of them is. Knows nothing of tabs but what each one wants.
 */

import { follow } from "../follow.js";
import { resolveUrl } from "../http.js";
import { isAfter } from "../stream-state.js";

/** @import {Batch, Dialect, LiveOptions} from "../types.js" */

/** What is wanted within this time is asked for at once. */
const SETTLE = 20;
/** Tabs that want something say so again and again, in the background once a minute. Who is so far behind others is gone. */
const FORGOTTEN = 200_000;
const MOST = 100;

/** An offset only counts what has come. @returns {Dialect} */
function dialect() {
  let count = 0;
  const next = () => String(++count).padStart(16, "0");
  /** @param {string} [offset] */
  const control = (offset) => ({ type: /** @type {const} */ ("control"), offset, upToDate: true, closed: false });
  return {
    query: ({ live = "no", cursor = "" }) => ({ live, cursor }),
    async page(response) {
      const { frames, cursor, upToDate } = await response.json();
      return { items: frames, offset: frames.length ? next() : undefined, cursor, upToDate, closed: false };
    },
    events: ({ type, data, id, tagged }) =>
      type === "end" // by itself: the server lets go of us
        ? [control()]
        : [{ type: "data", items: [[type, JSON.parse(data), tagged ? id : undefined]] }, control(next())],
  };
}

/** @param {string} url @param {Record<string, string>} places @param {string} [mine] */
function address(url, places, mine) {
  const target = resolveUrl(url);
  target.searchParams.set("chats", Object.entries(places).map((place) => place.join(":")).join());
  if (mine) target.searchParams.set("mine", mine);
  return target;
}

/** @param {any} data @returns {Batch} */
const batchOf = ({ events, nextOffset, upToDate }) => ({ items: events, offset: nextOffset, upToDate });

/**
 * One chat by itself, up to the present. Nobody hears how it goes, as long as it goes.
 *
 * @param {LiveOptions} options @param {string} id @param {string} offset @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<Batch, void, void>}
 */
export async function* readChat({ url, ...options }, id, offset, signal) {
  const where = () => address(url, { [id]: offset });
  for await (const { items } of follow({ ...options, onStatus: undefined, url: where, dialect: dialect(), signal })) {
    for (const [type, data] of items) {
      if (type === "gone") return;
      if (type !== "batch") continue;
      offset = data.nextOffset;
      yield batchOf(data);
    }
  }
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
  /** @type {any} */
  #settling;
  #reopen = () => {};
  /** How far what is the person's own has been read. */
  mine;

  /** @param {LiveOptions} options @param {string} [mine] */
  constructor(options, mine) {
    this.#options = options;
    this.mine = mine;
  }

  /** The chats that are being followed, and how far. @returns {Record<string, string>} */
  get places() {
    return Object.fromEntries(this.#asked.map((id) => [id, this.#places[id]]));
  }

  /** Everything that a tab follows, from its own places. @param {string} tab @param {Record<string, string>} chats */
  want(tab, chats) {
    const { env, publish } = this.#options;
    const before = this.#wants.get(tab)?.chats ?? {};
    this.#wants.set(tab, { chats, at: env.now() });
    for (const id in chats) {
      if (!(id in before) && this.#people[id]) publish({ type: "presence", detail: this.#people[id] });
      if (id in this.#places) continue;
      this.#places[id] = chats[id];
      this.#settle();
    }
  }

  /** What it wanted is followed until there is another reason to ask anew. @param {string} tab */
  forget(tab) {
    this.#wants.delete(tab);
  }

  /** @param {string} type   as follow() knows them */
  nudge(type) {
    this.#nudges.dispatchEvent(new Event(type));
  }

  /** @param {AbortSignal} signal */
  async run(signal) {
    const { url, ...options } = this.#options;
    await new Promise((resolve) => {
      this.#reopen = () => resolve(undefined);
      this.#settle();
    });
    this.#reopen = () => this.nudge("reopen");
    const where = () => address(url, this.#ask(), this.mine);
    for await (const { items } of follow({ ...options, url: where, dialect: dialect(), signal, nudges: this.#nudges }))
      for (const [type, data, id] of items) this.#take(type, data, id);
    options.env.clearTimeout(this.#settling);
  }

  #settle() {
    this.#settling ??= this.#options.env.setTimeout(() => {
      this.#settling = undefined;
      this.#reopen();
    }, SETTLE);
  }

  /** What the next request asks for. */
  #ask() {
    // Not by the clock: nobody says anything while the machine sleeps.
    const latest = Math.max(...[...this.#wants.values()].map(({ at }) => at));
    for (const [tab, { at }] of this.#wants) if (latest - at > FORGOTTEN) this.forget(tab);
    const wanted = [...this.#wants.values()].flatMap(({ chats }) => Object.keys(chats));
    this.#asked = [...new Set(wanted)].slice(-MOST);
    return (this.#places = this.places);
  }

  /** @param {string} type @param {any} data @param {string} [place] of what is the person's own */
  #take(type, data, place) {
    const { publish } = this.#options;
    const { id } = data;
    this.mine = place ?? this.mine;
    if (type === "presence") this.#people[id] = data;
    if (type === "presence" || type === "mine") publish({ type, detail: data, mine: place });
    if (type === "gone") {
      delete this.#places[id];
      for (const { chats } of this.#wants.values()) delete chats[id];
      publish({ type, id, gone: data });
    }
    const from = this.#places[id];
    if (type !== "batch" || from === undefined) return;
    const batch = batchOf(data);
    if (isAfter(batch.offset, from)) this.#places[id] = batch.offset;
    publish({ type, id, from, batch });
  }
}
