/**
 * What all tabs of a browser share: one connection. The tab that leads has it (live-connection.js), the others are
 * told what comes, and each keeps its own places. Where tabs cannot share, on plain http, each has its own while it
 * is in view.
 *
 * Events, in every tab:
 *   presence   {id, people}   who is in a chat, whenever that changes
 *   mine       what has changed that concerns this person alone
 */

import { chatConnection } from "../chat-connection.js";
import { browserEnvironment } from "../follow.js";
import { createId, readBytes } from "../http.js";
import { LiveConnection, readChat } from "./live-connection.js";
import { createPlace } from "../own-place.js";
import { BEGINNING } from "../stream-state.js";
import { canShare, joinTabs } from "../tab-leader.js";

/** @import {Batch, ConnectionStatus, DurableConnection, DurableConnectionOptions, HubOptions, LiveOptions} from "../types.js" */
/** @typedef {{id: string, place: {offset?: string}, hear: (message: any) => void}} Reader */

/** Two questions without an answer, and the leader is taken for frozen. */
const ASK_EVERY = 700;

const isHidden = () => globalThis.document?.hidden === true;

export class TabHub extends EventTarget {
  #options;
  /** @type {LiveOptions} */
  #live;
  #tab = createId();
  /** Whoever follows a chat in this tab. @type {Set<Reader>} */
  #readers = new Set();
  /** @type {ReturnType<typeof joinTabs> | undefined} */
  #tabs;
  /** Without others. @type {AbortController | undefined} */
  #alone;
  /** As leader. @type {LiveConnection | undefined} */
  #connection;
  /** How the connection is, whoever has it. @type {ConnectionStatus | undefined} */
  #status;
  /** How far what is the person's own has been read, whoever did. @type {string | undefined} */
  #mine;

  /** @param {HubOptions} options */
  constructor({ url, ping, ask = ASK_EVERY, fetchClient = (input, init) => fetch(input, init), env = browserEnvironment(), ...tabs }) {
    super();
    this.#options = { ...tabs, ping: ask, quiet: isHidden };
    const publish = (/** @type {any} */ message) => this.#publish(message);
    this.#live = { url, ping, fetchClient, env, publish, onStatus: (status) => publish({ type: "status", status }) };
    env.events?.addEventListener("pagehide", () => this.close());
    env.events?.addEventListener("pageshow", () => this.#open());
    env.events?.addEventListener("visibilitychange", () => this.#turn());
    // A frozen tab answers others, and reads nothing; it says so if its browser lets it.
    globalThis.document?.addEventListener("freeze", () => this.close());
    globalThis.document?.addEventListener("resume", () => this.#open());
    this.#open();
  }

  /**
   * A connection to a chat that reads through the hub, and sends by itself.
   *
   * @param {string} chatId @param {DurableConnectionOptions} options @returns {DurableConnection}
   */
  connection(chatId, options) {
    const connection = chatConnection(options, {
      follow: (signal, { offset = connection.offset } = {}) => this.#follow(chatId, connection.report, offset, signal),
      retryNow: () => this.#nudge("retry"),
    });
    return connection;
  }

  /** Lets go of everything, so that others lead. */
  close() {
    this.#tabs?.post({ type: "bye", tab: this.#tab });
    this.#tabs?.leave();
    this.#alone?.abort();
    this.#tabs = this.#alone = undefined;
  }

  #open() {
    if (this.#tabs || this.#alone) return;
    if (canShare(this.#options)) {
      this.#tabs = joinTabs(this.#options, {
        onMessage: (message) => this.#hear(message),
        onLead: (until) => this.#lead(until),
        tell: () => ({ tab: this.#tab, chats: this.#wants, status: this.#status, places: this.#connection?.places }),
        hear: (message) => {
          if (message.type === "pong") return this.#deliver(message);
          this.#connection?.want(message.tab, message.chats);
          this.#connection?.want(this.#tab, this.#wants); // nobody asks us
        },
      });
      this.#tabs.ask();
    } else if (!isHidden()) {
      this.#alone = new AbortController();
      this.#lead(this.#alone.signal);
    }
  }

  /** In view, or no longer. */
  #turn() {
    if (!isHidden()) {
      this.#open();
      this.#tabs?.ask();
      this.#nudge("visibilitychange");
    } else if (this.#alone) this.close();
  }

  /** @param {string} nudge */
  #nudge(nudge) {
    if (this.#connection) this.#connection.nudge(nudge);
    else this.#tabs?.post({ type: "nudge", nudge });
  }

  /** @param {AbortSignal} until */
  #lead(until) {
    const connection = new LiveConnection(this.#live, this.#mine);
    this.#connection = connection;
    this.#changed();
    until.addEventListener("abort", () => {
      if (this.#connection === connection) this.#connection = undefined;
      this.#changed();
    });
    void connection.run(until);
  }

  /** What this tab follows, and from where. @returns {Record<string, string>} */
  get #wants() {
    return Object.fromEntries([...this.#readers].map(({ id, place }) => [id, place.offset ?? BEGINNING]));
  }

  #changed() {
    if (this.#connection) this.#connection.want(this.#tab, this.#wants);
    else this.#tabs?.ask();
  }

  /** As leader. @param {{type: string} & Record<string, any>} message */
  #publish(message) {
    this.#tabs?.post(message);
    this.#deliver(message);
  }

  /** From another tab. @param {any} message */
  #hear(message) {
    if (message.type === "lead") this.#tabs?.ask();
    else if (message.type === "bye") this.#connection?.forget(message.tab);
    else if (message.type === "nudge") this.#connection?.nudge(message.nudge);
    else this.#deliver(message);
  }

  /** From the leader, here or elsewhere. @param {any} message */
  #deliver(message) {
    const { type, detail, status, mine } = message;
    this.#status = status ?? this.#status;
    this.#mine = mine ?? this.#mine;
    if (detail) this.dispatchEvent(new CustomEvent(type, { detail }));
    for (const reader of this.#readers) reader.hear(message);
  }

  /**
   * @param {string} id @param {(status: ConnectionStatus) => void} tell @param {string} [offset] @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<Batch, void, void>}
   */
  async *#follow(id, tell, offset, signal) {
    /** @type {ReadableStreamDefaultController<any>} */
    let inbox;
    const body = new ReadableStream({ start: (controller) => void (inbox = controller) });
    const place = createPlace(offset, (from = BEGINNING) => readChat(this.#live, id, from, signal));
    const reader = { id, place, hear: (/** @type {any} */ message) => inbox.enqueue(message) };
    // Nobody may be told any more once the inbox is closed, by us or by who reads it.
    const leave = () => this.#readers.delete(reader);
    const end = () => {
      leave();
      inbox.close();
    };
    /** Whether the leader follows this chat. */
    let followed = false;
    /** @type {ConnectionStatus | undefined} */
    let told;
    let missed = 0;

    const report = () => {
      const status = this.#status;
      if (!status || (status.state === "live" && !followed)) return;
      if (status.state === told?.state && status.retryAt === told.retryAt) return;
      tell(status.caughtUp === undefined ? status : { ...status, caughtUp: missed });
      if (status.state === "live") missed = 0;
      told = status;
    };

    signal?.addEventListener("abort", end);
    this.#readers.add(reader);
    this.#changed();
    try {
      report();
      /** @type {AsyncIterable<any>} */
      const messages = readBytes(/** @type {any} */ ({ body }));
      for await (const { id: about, from, batch, places, gone } of messages) {
        /** @type {AsyncIterable<Batch> | Batch[]} */
        let news = [];
        if (places) {
          followed = id in places;
          if (followed && place.lacks(places[id])) news = place.catchUp();
        } else if (about === id && batch) {
          followed = true;
          news = place.take(from, batch);
        }
        for await (const found of news) {
          if (signal?.aborted) return void leave();
          if (told?.state !== "live") missed += found.items.length;
          yield found;
        }
        const over = about === id && gone;
        if (over) tell({ ...gone, state: "gone", since: this.#live.env.now() });
        else report();
        if (signal?.aborted || over || told?.state === "gone") return void leave();
      }
    } finally {
      signal?.removeEventListener("abort", end);
      leave();
      this.#changed();
    }
  }
}
