/**
 * One chat as this tab knows it: what the stream says, plus what was typed here and is not in it yet.
 * Owns sending, retrying, stopping, and running the tools that runs sent from here ask for. Knows nothing of the page,
 * and of the network only `connection`. Our page needs no more; chat-client.js adds what others expect of a client.
 *
 * Events, as CustomEvents:
 *   change      {messages, runs: ids of what was touched}
 *   connection  {connectionStatus}
 *   error       {error, runId?, messageId?: of the message that tells it too}
 */

import { createReducer } from "./chat-reducer.js";
import { browserEnvironment } from "./follow.js";
import { createId, persist, sendJson } from "./http.js";

/** @import {ClientTool} from "./client-tools.js" */
/** @import {Batch, ChatSessionOptions, Chunk, ConnectionStatus, Delivery, Message, Parcel, RunInfo} from "./types.js" */
/** @import {Touched} from "./chat-reducer.js" */
/** @typedef {Omit<Delivery, "controller" | "state" | "error">} Errand   what is to be delivered */

/** In characters, of which one may take three bytes. */
const KEPT_ALIVE = 20_000;

export class ChatSession extends EventTarget {
  #options;
  #reducer;
  #closing = new AbortController();
  #nudges = new EventTarget();
  /** Deliveries in the order they were made, by run id. @type {Map<string, Delivery>} */
  #deliveries = new Map();
  /** Posts go out one after the other, so that messages keep their order. @type {Promise<void>} */
  #outgoing = Promise.resolve();
  /** The runs last sent from this tab: only they may ask for a tool here. @protected @type {Map<string, Pick<Errand, "message" | "data">>} */
  own;
  /** @type {ConnectionStatus} */
  #connectionStatus;

  /** @param {ChatSessionOptions} options */
  constructor(options) {
    super();
    this.#options = {
      fetchClient: /** @type {typeof fetch} */ ((input, init) => fetch(input, init)),
      env: browserEnvironment(),
      ids: createId,
      tools: /** @type {ClientTool[]} */ ([]),
      tab: /** @type {Record<string, string>} */ ({}),
      ...options,
    };
    this.#reducer = createReducer(options.snapshot);
    this.own = new Map(JSON.parse(this.#options.tab[`runs:${options.chatId}`] ?? "[]"));
    this.#connectionStatus = { state: "connecting", since: this.#options.env.now() };
  }

  /** The stream's messages in order, then those still on their way (`metadata.delivery`). @returns {Message[]} */
  get messages() {
    return [...this.#reducer.messages, ...this.#pending()];
  }

  /** The offset up to which `messages` tells the stream. */
  get offset() {
    return this.#options.connection.offset;
  }

  /** The pinned version of a message or an answer, by group (branches.js). @returns {Record<string, string>} */
  get pins() {
    return this.#reducer.marks.pins;
  }

  /** What the chat has been named, or "". @returns {string} */
  get title() {
    return this.#reducer.marks.title;
  }

  /** By run id. @returns {Record<string, RunInfo>} */
  get runs() {
    return this.#reducer.runs;
  }

  /** @returns {string[]} */
  get activeRuns() {
    return this.#reducer.activeRuns;
  }

  /** What happened beside what was said. */
  get notes() {
    return this.#reducer.notes.list;
  }

  /** Of the agents that came or went, whether they are here. @returns {Record<string, boolean>} */
  get roster() {
    return this.#reducer.notes.snapshot().roster;
  }

  /** Whether anybody's run is under way in this chat. */
  get sessionGenerating() {
    return this.activeRuns.length > 0;
  }

  get connectionStatus() {
    return this.#connectionStatus;
  }

  /** Follows the session until close(). */
  start() {
    const forget = this.#options.connection.onStatus((status) => this.#connected(status));
    this.#closing.signal.addEventListener("abort", forget);
    this.#follow();
    this.#useOutbox((outbox) => {
      outbox.addEventListener("parcel", (event) => this.#told(/** @type {CustomEvent} */ (event).detail));
      void outbox.start();
    });
    for (const runId of this.own.keys()) this.#goOn(runId);
  }

  close() {
    this.#closing.abort();
    for (const { controller } of this.#deliveries.values()) controller.abort();
  }

  /** Ends the wait for the next attempt. */
  retryNow() {
    this.#options.connection.retryNow();
    this.#hurry();
  }

  /**
   * Shows the message at once and posts it until it is answered. The id makes repeats harmless.
   *
   * @param {string} text @param {Record<string, any>} [data] for the agent
   * @param {{parentId?: string, editOf?: string}} [place] what it follows, what it is another version of
   */
  say(text, data, place = {}) {
    const { ids, me, env } = this.#options;
    const message = {
      id: ids(),
      role: "user",
      name: me.name,
      parts: [{ type: "text", content: text }],
      metadata: { participantId: me.id, createdAt: env.now(), ...(me.hue !== undefined && { hue: me.hue }), ...place },
    };
    return this.post({ runId: ids(), message, again: false, data });
  }

  /** Sends a failed message again, as the same message. @param {string} messageId */
  retrySend(messageId) {
    const delivery = this.#deliveryOf(messageId);
    if (delivery?.state === "failed") this.post(delivery);
  }

  /** Forgets a message that could not be sent. Its text is returned. @param {string} messageId */
  discard(messageId) {
    const delivery = this.#deliveryOf(messageId);
    if (!delivery) return undefined;
    this.#settle(delivery);
    this.#useOutbox((outbox) => outbox.drop(messageId));
    delivery.controller.abort();
    this.#changed(messageId);
    return /** @type {string} */ (delivery.message.parts[0].content);
  }

  /**
   * Asks the same agent for another attempt at what `runId` should have answered, unless one is on its way.
   *
   * @param {string} runId @returns {string | undefined} the new run's id; undefined if its question is not here
   */
  retryRun(runId) {
    const { triggerId = "", agentId } = this.runs[runId] ?? {};
    return this.answerAgain(triggerId, agentId);
  }

  /**
   * Asks an agent, or whoever answers here, for another answer to a message, unless that is on its way.
   *
   * @param {string} messageId @param {string} [agentId] @returns {string | undefined} as retryRun
   */
  answerAgain(messageId, agentId) {
    const message = this.messages.find(({ id }) => id === messageId);
    if (!message) return undefined;
    const asked = [...this.#deliveries.values()].find(
      ({ again, message, data }) => again && message.id === messageId && data?.agentId === agentId,
    );
    if (asked) return asked.runId;
    return this.post({ runId: this.#options.ids(), message, again: true, data: agentId ? { agentId } : undefined }).runId;
  }

  /**
   * Stops a run, or all of them; what was written stays. Stopping what has ended is no error.
   *
   * @param {string} [runId] @returns {Promise<boolean>} whether something was stopped
   */
  async stop(runId) {
    try {
      const { stopUrl, chatId } = this.#options;
      const reply = await this.request("POST", /** @type {string} */ (stopUrl), { id: chatId, runId });
      return (await reply?.json())?.stopped === true;
    } catch (error) {
      if (!this.#closing.signal.aborted) this.emit("error", { error, runId });
      return false;
    }
  }

  /**
   * An idempotent request, made until it is answered; throws as persist() does.
   * @param {string} method @param {string} url @param {object} body
   */
  request(method, url, body) {
    const { headers, fetchClient } = this.#options;
    // Whoever leaves the page right after has asked for it all the same. Browsers keep no more than 64 KiB alive.
    const keepalive = JSON.stringify(body).length < KEPT_ALIVE;
    const ask = (/** @type {AbortSignal} */ signal) => sendJson(method, url, body, { headers, fetchClient, signal, keepalive });
    return this.#persist(ask, this.#closing.signal);
  }

  async #follow() {
    for await (const batch of this.#options.connection.subscribeBatches(this.#closing.signal)) this.#apply(batch);
  }

  /** @param {Batch} batch */
  #apply({ items }) {
    const touched = { messages: new Set(), runs: new Set() };
    for (const event of items) this.hear(event, touched);
    // In the stream is durable and accepted, whatever became of the reply.
    for (const delivery of this.#deliveries.values()) {
      const arrived = delivery.again ? touched.runs.has(delivery.runId) : touched.messages.has(delivery.message.id);
      if (!arrived) continue;
      this.#settle(delivery);
      if (!delivery.again) this.#useOutbox((outbox) => outbox.arrived(delivery.message.id));
    }
    this.emit("change", touched);
  }

  /** What the stream says, event by event. @protected @param {Chunk} event @param {Touched} touched */
  hear(event, touched) {
    this.#reducer.apply(event, touched);
    // Somebody else may have decided the rest of what it asked: it is this tab's run all the same.
    const earlier = event.type === "RUN_STARTED" && event.metadata?.continues;
    const paused = this.own.get(earlier);
    if (paused && !this.own.has(event.runId)) this.#own(event.runId, paused);
    for (const delivery of this.#deliveries.values()) if (earlier && delivery.parentRunId === earlier) this.#settle(delivery);
    if (event.outcome?.interrupts) this.#goOn(event.runId);
  }

  /** If it is ours and waits for tools, runs them and has it go on. @param {string} runId */
  async #goOn(runId) {
    // Further agents that the message addresses have runs of their own, named after the first.
    const errand = this.own.get(runId.split("~")[0]);
    const run = this.runs[runId];
    if (!errand || !run?.interrupts) return;
    const { answersTo } = await import("./client-tools.js");
    const answers = await answersTo(run, this.#options.tools);
    if (answers && !this.#closing.signal.aborted) this.post({ ...errand, ...answers });
  }

  /** @param {string} runId @param {Pick<Errand, "message" | "data">} errand */
  #own(runId, errand) {
    this.own.set(runId, errand);
    this.#options.tab[`runs:${this.#options.chatId}`] = JSON.stringify([...this.own].slice(-9));
  }

  /** Posts until it is answered. @protected @param {Errand} errand */
  post(errand) {
    const { runId, message, again, data, ...more } = errand;
    const { id, role, parts, metadata: { parentId, editOf } = {} } = message;
    const sent = { id, role, parts, ...(!again && (parentId || editOf) && { metadata: { parentId, editOf } }) };
    const { outbox, tools, connection } = this.#options;
    /** @type {Delivery} */
    const delivery = { ...errand, controller: new AbortController(), state: "sending" };
    this.#deliveries.set(runId, delivery);
    this.#own(runId, { data, message: { id, role, parts: [] } }); // to go on it is enough to name the message
    const run = { ...more, runId, clientTools: tools };
    const deliver = () => this.#deliver(delivery, (signal) => connection.send([sent], data, signal, run));
    if (outbox && !again) {
      const body = JSON.parse(JSON.stringify({ messages: [sent], data, runId, tools: tools.length ? tools : undefined }));
      outbox.then((box) => box.keep({ id, runId, message, body })).catch(deliver);
    } else deliver();
    this.#changed(id);
    return errand;
  }

  /** @param {Delivery} delivery @param {(signal: AbortSignal) => Promise<void>} send */
  #deliver(delivery, send) {
    const { runId, message, again, controller } = delivery;
    const { id } = message;
    this.#outgoing = this.#outgoing.then(async () => {
      try {
        await this.#persist(send, controller.signal, () => this.#deliveries.get(runId) !== delivery);
        delivery.state = "sent";
      } catch (error) {
        if (controller.signal.aborted) return;
        delivery.state = "failed";
        delivery.error = /** @type {Error} */ (error);
        if (again) this.#settle(delivery);
        this.emit("error", { error, runId, messageId: again ? undefined : id });
      }
      this.#changed(id);
    });
  }

  /**
   * What has become of a message in the outbox, on whichever page it was written and whichever sends it.
   * @param {Parcel} parcel
   */
  #told({ id, runId, chatId, message, state, error, body, own }) {
    if (chatId !== this.#options.chatId) return;
    const known = this.#deliveryOf(id);
    if (state === "dropped") {
      if (known) this.#settle(known);
    } else if (this.#reducer.message(id)) {
      this.#useOutbox((outbox) => outbox.arrived(id));
    } else {
      if (own) this.#own(runId, { data: body.data, message: { id, role: message.role, parts: [] } });
      const failure = error === undefined ? undefined : new Error(error);
      /** @type {Delivery} */
      const told = { runId, message, again: false, data: body.data, controller: new AbortController(), ...known, state: state, error: failure };
      this.#deliveries.set(runId, told);
      if (failure && known?.state === "sending") this.emit("error", { error: failure, runId, messageId: id });
    }
    this.#changed(id);
  }

  /** @param {(outbox: import("./outbox.js").Outbox) => unknown} act */
  #useOutbox(act) {
    this.#options.outbox?.then(act).catch(() => {}); // without one it is as it was before
  }

  /**
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} request @param {AbortSignal} signal @param {() => boolean} [settled]
   */
  #persist(request, signal, settled) {
    return persist(request, {
      env: this.#options.env,
      signal,
      settled,
      nudges: this.#nudges,
      connected: () => this.#connectionStatus.state === "live",
    });
  }

  #hurry() {
    this.#nudges.dispatchEvent(new Event("nudge"));
    this.#useOutbox((outbox) => outbox.flush());
  }

  /** @param {Delivery} delivery */
  #settle({ runId }) {
    this.#deliveries.delete(runId);
    this.#nudges.dispatchEvent(new Event("nudge"));
  }

  /** @param {string} messageId */
  #deliveryOf(messageId) {
    return [...this.#deliveries.values()].find(({ message, again }) => message.id === messageId && !again);
  }

  /** @returns {Message[]} */
  #pending() {
    return [...this.#deliveries.values()]
      .filter(({ message, again }) => !again && !this.#reducer.message(message.id))
      .map(({ message, state, error }) => ({
        ...message,
        metadata: { ...message.metadata, delivery: state, error: error?.message },
      }));
  }

  /** @param {ConnectionStatus} status */
  #connected(status) {
    this.#connectionStatus = status;
    if (status.state === "live") this.#hurry();
    this.emit("connection", { connectionStatus: status });
  }

  /** @param {string} messageId */
  #changed(messageId) {
    this.emit("change", { messages: [messageId], runs: [] });
  }

  /** @protected @param {string} type @param {object} detail */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
