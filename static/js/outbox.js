/**
 * What a person has said and no server has answered for good: kept by the browser first, then sent once, from whichever
 * page of that person is alive. Owns the store, whose turn it is to send, and the sending. Shows nothing.
 *
 * The pages of one person share a store, a channel and a lock for each chat. Who has the lock sends what waits there,
 * oldest first; the others stand in line, and go on when that page is closed. Without Web Locks each page sends what it
 * has: twice is once, because the message's id says so.
 *
 * Events, as CustomEvents:
 *   parcel   a Parcel, and what has become of it
 */

import { browserEnvironment } from "./follow.js";
import { persist, postJson } from "./http.js";

/** @import {OutboxOptions, Parcel, ParcelStore} from "./types.js" */

const PATIENCE = 5000;
const PARCELS = "parcels";

export class Outbox extends EventTarget {
  #options;
  /** To the other pages, as long as this one is shown. @type {BroadcastChannel | undefined} */
  #channel;
  #nudges = new EventTarget();
  #closing = new AbortController();
  /** What was written on this page and is on its way: how to let go of the lock that says that the page is there. @type {Map<string, () => void>} */
  #written = new Map();
  /** Ids of what is not to be sent any more. @type {Set<string>} */
  #over = new Set();
  /** The chats whose turn this page has. @type {Set<string>} */
  #sending = new Set();
  #latest = 0;

  /** @param {OutboxOptions} options */
  constructor(options) {
    super();
    const name = `outbox:${options.participantId}`;
    this.#options = {
      name,
      store: options.store ?? storeIn(name),
      locks: globalThis.navigator?.locks,
      Channel: BroadcastChannel,
      fetchClient: /** @type {typeof fetch} */ ((input, init) => fetch(input, init)),
      env: browserEnvironment(),
      connected: () => false,
      ...options,
    };
    this.#listen();
    // A browser does not keep a page that one leaves if anything is said to it.
    const { events } = this.#options.env;
    const { signal } = this.#closing;
    events?.addEventListener("pagehide", () => this.#leave(), { signal });
    events?.addEventListener("pageshow", (event) => this.#return(/** @type {PageTransitionEvent} */ (event)), { signal });
  }

  /** Tells what is there from before, and sends it. */
  async start() {
    try {
      for (const parcel of await this.#waiting()) this.#emit(parcel);
      await this.flush();
    } catch {
      // This browser keeps nothing.
    }
  }

  /**
   * Keeps a message until it is answered; what becomes of it the events tell. Rejects if it cannot be kept.
   * @param {Omit<Parcel, "at" | "state" | "chatId" | "url">} parcel
   */
  async keep(parcel) {
    const { env, chatId = "", sendUrl = "", store, locks, name } = this.#options;
    this.#latest = Math.max(env.now(), this.#latest + 1);
    /** @type {Parcel} */
    const kept = { ...parcel, chatId, url: sendUrl, at: this.#latest, state: "sending" };
    this.#over.delete(kept.id);
    await store.put(kept);
    if (!this.#written.has(kept.id)) {
      const done = new Promise((resolve) => this.#written.set(kept.id, () => resolve(undefined)));
      void locks?.request(`${name}:${kept.id}`, () => done);
    }
    this.#tell(kept);
    void this.#send(chatId);
  }

  /** Takes a message back. @param {string} id */
  drop(id) {
    void this.arrived(id);
    this.#channel?.postMessage({ id, state: "dropped", chatId: this.#options.chatId });
  }

  /** The stream has it, so nobody needs to send it. @param {string} id */
  async arrived(id) {
    this.#forget(id);
    await this.#options.store.remove(id).catch(() => {});
  }

  /** Sends now what waits. */
  async flush() {
    this.#nudge();
    this.#channel?.postMessage({ nudge: true });
    const parcels = await this.#waiting();
    for (const chatId of new Set(parcels.map(({ chatId }) => chatId))) void this.#send(chatId);
  }

  close() {
    this.#closing.abort();
    this.#leave();
    for (const release of this.#written.values()) release();
  }

  #listen() {
    const { Channel, name } = this.#options;
    this.#channel = new Channel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  #leave() {
    this.#channel?.close();
    this.#channel = undefined;
  }

  /** Back on a page that was kept. @param {PageTransitionEvent} event */
  #return({ persisted }) {
    if (!persisted) return;
    this.#listen();
    void this.start();
  }

  /** @returns {Promise<Parcel[]>} the oldest first */
  async #waiting() {
    return (await this.#options.store.all()).sort((one, other) => one.at - other.at);
  }

  /** Sends what waits in a chat once it is this page's turn. @param {string} chatId @param {LockOptions} [how] */
  async #send(chatId, how = {}) {
    const { locks, name, env } = this.#options;
    const lost = new AbortController();
    const work = async () => {
      env.clearTimeout(timer);
      if (this.#sending.has(chatId)) return; // which looks again before it ends
      this.#sending.add(chatId);
      await this.#drain(chatId, lost.signal).finally(() => this.#sending.delete(chatId));
    };
    /** A page that is frozen keeps its turn and answers nobody. */
    let asked = false;
    const watch = () => {
      if (asked) return void this.#send(chatId, { steal: true });
      asked = env.online() && !this.#sending.has(chatId);
      if (asked) this.#channel?.postMessage({ ask: chatId });
      timer = env.setTimeout(watch, PATIENCE);
    };
    const answered = () => (asked = false);
    let timer = locks && !how.steal ? env.setTimeout(watch, PATIENCE) : 0;
    const leave = () => {
      lost.abort();
      env.clearTimeout(timer);
    };
    this.#nudges.addEventListener(`here ${chatId}`, answered);
    this.#closing.signal.addEventListener("abort", leave);
    try {
      await (locks ? locks.request(`${name}:${chatId}`, how, work) : work());
    } catch {
      this.#sending.delete(chatId); // another page has taken the turn, or the store is gone
    }
    leave();
    this.#nudges.removeEventListener(`here ${chatId}`, answered);
    this.#closing.signal.removeEventListener("abort", leave);
  }

  /** @param {string} chatId @param {AbortSignal} lost */
  async #drain(chatId, lost) {
    while (!lost.aborted) {
      const parcel = (await this.#waiting()).find((each) => each.chatId === chatId && each.state === "sending");
      if (!parcel) return;
      await this.#deliver(parcel, lost);
    }
  }

  /** @param {Parcel} parcel @param {AbortSignal} lost */
  async #deliver(parcel, lost) {
    const { store, fetchClient, env, connected, participantId, chatId } = this.#options;
    const { id, url } = parcel;
    let { body } = parcel;
    if (await this.#orphaned(id)) {
      // Whoever sends it has its tools: this page, if it has any.
      if (parcel.chatId === chatId) this.#emit({ ...parcel, own: true });
      else body = { ...body, tools: undefined };
    }
    const request = { fetchClient, extraHeaders: { "X-Participant": participantId } };
    /** @type {Parcel} */
    let end = { ...parcel, state: "sent" };
    try {
      await persist((signal) => postJson(url, body, { ...request, signal }), {
        env,
        signal: lost,
        nudges: this.#nudges,
        connected,
        settled: () => this.#over.has(id),
      });
    } catch (error) {
      const { message, status } = /** @type {import("./http.js").HttpError} */ (error);
      end = { ...parcel, state: "failed", error: message, status };
    }
    if (lost.aborted) return;
    const over = this.#over.has(id);
    try {
      if (end.state === "sent" || over) await store.remove(id);
      else await store.put(end);
    } finally {
      if (!over) this.#tell(end); // also where the store takes no more
    }
  }

  /** Whether the page that it was written on is gone. @param {string} id @returns {Promise<boolean>} */
  async #orphaned(id) {
    const { locks, name } = this.#options;
    if (this.#written.has(id)) return false;
    return locks ? locks.request(`${name}:${id}`, { ifAvailable: true }, (lock) => lock !== null) : true;
  }

  /** @param {any} message of another page */
  #hear({ nudge, ask, here, ...parcel }) {
    if (nudge) this.#nudge();
    else if (here) this.#nudges.dispatchEvent(new Event(`here ${here}`));
    else if (ask) this.#sending.has(ask) && this.#channel?.postMessage({ here: ask });
    else {
      if (parcel.state === "dropped") this.#forget(parcel.id);
      else if (parcel.state === "sending" && this.#over.has(parcel.id)) return; // who sends it may be heard before who wrote it
      this.#emit(parcel);
      if (parcel.state === "sending" && this.#options.locks) void this.#send(parcel.chatId);
    }
  }

  /** @param {string} id */
  #forget(id) {
    this.#over.add(id);
    this.#release(id);
    this.#nudge();
  }

  /** @param {string} id */
  #release(id) {
    this.#written.get(id)?.();
    this.#written.delete(id);
  }

  #nudge() {
    this.#nudges.dispatchEvent(new Event("nudge"));
  }

  /** @param {Parcel} parcel */
  #tell(parcel) {
    this.#channel?.postMessage(parcel);
    this.#emit(parcel);
  }

  /** @param {Parcel} parcel */
  #emit(parcel) {
    if (parcel.state !== "sending") this.#release(parcel.id);
    if (parcel.state === "sent") this.#over.add(parcel.id);
    this.dispatchEvent(new CustomEvent("parcel", { detail: parcel }));
  }
}

/** A store of the browser's. Fails at each use where there is none, as in some private windows. @param {string} name @returns {ParcelStore} */
function storeIn(name) {
  /** @type {Promise<IDBDatabase> | undefined} */
  let opened;
  const open = () =>
    new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(PARCELS, { keyPath: "id" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
      setTimeout(reject, PATIENCE, new Error("The browser's store does not open."));
    });
  /** @template T @param {IDBTransactionMode} mode @param {(parcels: IDBObjectStore) => IDBRequest<T>} act @returns {Promise<T>} */
  const use = async (mode, act) => {
    const database = await (opened ??= open());
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(PARCELS, mode);
      const request = act(transaction.objectStore(PARCELS));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      transaction.commit?.(); // who closes the page right now has said it all the same
    });
  };
  return {
    put: (parcel) => use("readwrite", (parcels) => parcels.put(parcel)),
    remove: (id) => use("readwrite", (parcels) => parcels.delete(id)),
    all: () => use("readonly", (parcels) => parcels.getAll()),
  };
}
