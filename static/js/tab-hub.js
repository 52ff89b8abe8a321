/**
 * What all tabs of a browser share: one connection. The tab that leads has it (live-connection.js), the others are
 * told what comes, and each keeps its own places. Where tabs cannot share, on plain http, each has its own while it
 * is in view.
 *
 * Events, in every tab:
 *   presence   {id, people}   who is in a chat, whenever that changes
 *   mine       what has changed that concerns this person alone
 */

import { durableConnection } from "./durable-connection.js";
import { browserEnvironment } from "./durable-stream.js";
import { createId, readBytes } from "./http.js";
import { LiveConnection } from "./live-connection.js";
import { createPlace } from "./own-place.js";
import { BEGINNING } from "./stream-state.js";
import { canShare, joinTabs } from "./tab-leader.js";

/** @import {Batch, ConnectionStatus, DurableConnection, DurableConnectionOptions, HubOptions} from "./types.js" */

/** Two questions without an answer, and a tab is taken for frozen. */
const ASK_EVERY = 700;

const isHidden = () => globalThis.document?.hidden === true;

export class TabHub extends EventTarget {
  #options;
  #tab = createId();
  /** Whoever follows a chat in this tab. @type {Set<{id: string, place: {offset?: string}, hear: (message: any) => void}>} */
  #readers = new Set();
  /** @type {ReturnType<typeof joinTabs> | undefined} */
  #tabs;
  /** As leader. @type {LiveConnection | undefined} */
  #live;
  /** @type {AbortController | undefined} */
  #alone;
  /** How the connection is, whoever has it. @type {ConnectionStatus | undefined} */
  #status;
  /** How far what is the person's own has been read, whoever did. @type {string | undefined} */
  #mine;

  /** @param {HubOptions} options */
  constructor(options) {
    super();
    this.#options = { env: browserEnvironment(), ...options };
    const { events } = this.#options.env;
    events?.addEventListener("pagehide", () => this.close());
    events?.addEventListener("pageshow", (event) => /** @type {PageTransitionEvent} */ (event).persisted && this.#open());
    events?.addEventListener("visibilitychange", () => this.#seen());
    this.#open();
  }

  /**
   * A connection to a chat that reads through the hub, and sends by itself.
   *
   * @param {string} chatId @param {DurableConnectionOptions} options @returns {DurableConnection}
   */
  connection(chatId, options) {
    const connection = durableConnection(options);
    return Object.assign(connection, {
      /** @type {DurableConnection["follow"]} */
      follow: (signal, { offset = connection.offset } = {}) => this.#follow(chatId, connection, options, { offset, signal }),
      retryNow: () => this.#nudge("retry"),
    });
  }

  /** Lets go of everything; others may lead. */
  close() {
    this.#tabs?.post({ type: "bye", tab: this.#tab });
    this.#tabs?.leave();
    this.#alone?.abort();
    this.#tabs = this.#alone = undefined;
  }

  #open() {
    if (this.#tabs || this.#alone) return;
    const { name, ask = ASK_EVERY, locks, Channel } = this.#options;
    if (canShare({ name, locks, Channel })) {
      this.#tabs = joinTabs({ name, ping: ask, quiet: isHidden, locks, Channel }, {
        onMessage: (message) => this.#hear(message),
        onLead: (until) => this.#lead(until),
        tell: () => (this.#live ? { places: this.#live.places, status: this.#status, mine: this.#live.mine } : { tab: this.#tab, chats: this.#wants }),
        hear: (message) => (message.type === "ping" ? this.#live?.want(message.tab, message.chats) : this.#deliver(message)),
      });
      this.#tabs.ask();
    } else if (!isHidden()) {
      this.#alone = new AbortController();
      this.#lead(this.#alone.signal);
    }
  }

  /** The tab has come into view, or gone out of it. */
  #seen() {
    if (this.#tabs) {
      if (isHidden()) return;
      this.#tabs.ask();
      this.#nudge("visibilitychange");
    } else if (isHidden()) this.close();
    else this.#open();
  }

  /** @param {string} type */
  #nudge(type) {
    if (this.#live) this.#live.nudge(type);
    else this.#tabs?.post({ type: "nudge", nudge: type });
  }

  /** @param {AbortSignal} until */
  #lead(until) {
    const { url, fetchClient, ping, env } = this.#options;
    const live = new LiveConnection({
      url,
      fetchClient: fetchClient ?? ((input, init) => fetch(input, init)),
      ping,
      env,
      mine: this.#mine,
      publish: (message) => this.#publish(message),
      onStatus: (status) => this.#publish({ type: "status", status }),
    });
    this.#live = live;
    live.want(this.#tab, this.#wants);
    until.addEventListener("abort", () => {
      if (this.#live === live) this.#live = undefined;
      this.#tabs?.ask();
    });
    void live.run(until);
  }

  /** What this tab follows, and from where. @returns {Record<string, string>} */
  get #wants() {
    return Object.fromEntries([...this.#readers].map(({ id, place }) => [id, place.offset ?? BEGINNING]));
  }

  #changed() {
    if (this.#live) this.#live.want(this.#tab, this.#wants);
    else this.#tabs?.ask();
  }

  /** To everybody. @param {{type: string} & Record<string, any>} message */
  #publish(message) {
    this.#tabs?.post(message);
    this.#deliver(message);
  }

  /** From another tab. @param {any} message */
  #hear(message) {
    if (message.type === "lead") this.#tabs?.ask();
    else if (message.type === "bye") this.#live?.forget(message.tab);
    else if (message.type === "nudge") this.#live?.nudge(message.nudge);
    else this.#deliver(message);
  }

  /** From the leader, here or elsewhere. @param {any} message */
  #deliver(message) {
    const { type, detail, status, mine } = message;
    if (status) this.#status = status;
    if (mine) this.#mine = mine;
    if (detail) this.dispatchEvent(new CustomEvent(type, { detail }));
    for (const reader of this.#readers) reader.hear(message);
  }

  /**
   * @param {string} id @param {DurableConnection} connection @param {DurableConnectionOptions} options
   * @param {{offset?: string, signal?: AbortSignal}} how
   * @returns {AsyncGenerator<Batch, void, void>}
   */
  async *#follow(id, connection, options, { offset, signal }) {
    /** What this tab reads by itself is no news of the connection, unless there is nothing to read. */
    const alone = durableConnection(options);
    alone.onStatus((status) => status.state === "gone" && connection.report(status));
    const place = createPlace(offset, (from) => alone.follow(signal, { offset: from }));
    /** @type {ReadableStreamDefaultController<any>} */
    let inbox;
    const messages = new ReadableStream({ start: (controller) => void (inbox = controller) });
    const end = () => inbox.close();
    const reader = { id, place, hear: (/** @type {any} */ message) => inbox.enqueue(message) };
    /** Whether the leader follows this chat. */
    let followed = false;
    /** @type {ConnectionStatus | undefined} */
    let last;
    let missed = 0;

    const report = (status = this.#status) => {
      if (!status) return;
      const { since } = status;
      const now = followed || status.state !== "live" ? status : { state: /** @type {const} */ ("connecting"), since };
      if (now.state === last?.state && now.retryAt === last.retryAt) return;
      connection.report(now.caughtUp === undefined ? now : { ...now, caughtUp: missed });
      if (now.state === "live") missed = 0;
      last = now;
    };

    signal?.addEventListener("abort", end);
    this.#readers.add(reader);
    this.#changed();
    try {
      report();
      /** @type {AsyncIterable<any>} */
      const told = readBytes(/** @type {any} */ ({ body: messages }));
      for await (const message of told) {
        if (signal?.aborted) return;
        const { type, from, batch, status, places } = message;
        if (type === "gone" && message.id === id) {
          connection.report({ ...message, state: "gone", since: this.#options.env.now() });
          return;
        }
        if (places) followed = id in places;
        const news = type === "batch" && message.id === id ? place.take(from, batch) : places && place.lacks(places[id] ?? BEGINNING) ? place.catchUp() : [];
        if (type === "batch" && message.id === id) followed = true;
        for await (const found of news) {
          if (last?.state !== "live") missed += found.items.length;
          yield found;
        }
        if (place.over || this.#status?.state === "gone") return;
        report(status);
      }
    } finally {
      signal?.removeEventListener("abort", end);
      this.#readers.delete(reader);
      this.#changed();
    }
  }
}
