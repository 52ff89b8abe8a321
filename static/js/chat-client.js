/**
 * A chat client with what TanStack's has: a status of its own turn, a queue, and changes of what is shown. Owns the
 * turns: the runs that were asked for here and are under way. The session below it owns what everybody sees.
 *
 * Whose a chunk is, its run says. So nobody else's run begins, ends or fails a turn of mine, and a run that somebody
 * else has asked for makes `sessionGenerating` true and `isLoading` not.
 *
 * Events, as CustomEvents, besides those of the session:
 *   status  {status, isLoading, sessionGenerating}
 *   queue   {queue}
 *   chunk   {chunk, runId?}
 *   finish  {runId, message?: the last one that it wrote}
 *   error   {error, runId}: also of a turn whose run failed
 */

import { ChatSession } from "./chat-session.js";
import { createOwnership, isHandoff, isTerminal } from "./chunks.js";
import { needsOnlyTools } from "./client-tools.js";
import { createId } from "./http.js";

/** @import {ChatClientOptions, ChatStatus, Chunk, Message, QueuedMessage, SendOptions} from "./types.js" */
/** @import {Touched} from "./chat-reducer.js" */
/** @import {Errand} from "./chat-session.js" */
/** @typedef {{errand: Errand, begun: boolean, done: Promise<void>, settle: () => void}} Turn */

/** What a failed run says. */
export class RunError extends Error {
  /** @param {Chunk} chunk */
  constructor({ runId, code, message }) {
    super(message || "The run failed.");
    this.name = "RunError";
    this.runId = runId;
    this.code = code;
  }
}

export class ChatClient extends ChatSession {
  #options;
  /** By run id, in the order they were begun. @type {Map<string, Turn>} */
  #turns = new Map();
  /** @type {QueuedMessage[]} */
  #queue = [];
  /** @type {Error | undefined} */
  #error;
  #told = "";
  #ownerOf = createOwnership();
  /** Runs that were stopped here before they had begun. @type {Set<string>} */
  #stopped = new Set();
  /** Runs and messages of which no more is to be shown here. @type {Set<string | undefined>} */
  #dropped = new Set();

  /** @param {ChatClientOptions} options */
  constructor(options) {
    super(options);
    this.#options = { ids: createId, whenBusy: /** @type {const} */ ("send"), ...options };
    for (const [runId, errand] of this.own)
      if (this.activeRuns.includes(runId)) this.#turns.set(runId, { ...createTurn(), errand: { ...errand, runId, again: true }, begun: true });
    this.#told = this.#state();
    this.addEventListener("change", () => this.#update());
    this.addEventListener("error", (event) => {
      const { error, runId } = /** @type {CustomEvent} */ (event).detail;
      if (this.#turns.has(runId)) this.#fail(runId, error); // it could not be sent
      this.#update();
    });
  }

  /** Of the turns of this client. @returns {ChatStatus} */
  get status() {
    const turns = [...this.#turns.values()];
    if (turns.some(({ begun }) => begun)) return "streaming";
    if (turns.length > 0) return "submitted";
    return this.#error ? "error" : "ready";
  }

  /** Whether anything that was asked here is under way. */
  get isLoading() {
    return this.#turns.size > 0;
  }

  /** What went wrong with the last turn. */
  get error() {
    return this.#error;
  }

  /** What waits here for the turn to end; what waits on the server is in `messages`. @returns {QueuedMessage[]} */
  get queue() {
    return [...this.#queue];
  }

  /**
   * Sends a message; resolves once it is answered, refused or stopped. While a turn is under way, `whenBusy` says what
   * becomes of it: `send` it (the server keeps the order), `queue` it here until the turn has gone well, `drop` it, or
   * `interrupt` the turn.
   *
   * @param {string | {content: string | any[], id?: string, metadata?: Record<string, any>}} content
   * @param {Record<string, any>} [body]   for the agent @param {SendOptions} [options]
   * @returns {Promise<void>}
   */
  async sendMessage(content, body, { whenBusy = this.#options.whenBusy, body: more } = {}) {
    const given = typeof content === "string" ? { content } : content;
    const parts = partsOf(given.content);
    if (!parts.length) return undefined;
    const data = { ...body, ...more };
    if (this.isLoading && whenBusy === "drop") return undefined;
    if (this.isLoading && whenBusy === "queue") {
      this.#queue.push({ id: given.id ?? this.#options.ids(), content: given, body: data, createdAt: Date.now() });
      return this.#tellQueue();
    }
    if (this.isLoading && whenBusy === "interrupt") void this.#stopTurns([...this.#turns.values()]);
    return this.#ask({ ...given, parts }, data);
  }

  /**
   * Sends a message of a person as it is. Those of agents come from agents: the session would not believe them.
   *
   * @param {any} message   a UIMessage or ModelMessage @returns {Promise<void>}
   */
  async append(message) {
    if (message.role === "system") return undefined;
    if (message.role !== "user") throw new TypeError("Only a message of a person can be appended.");
    return this.#ask({ ...message, parts: message.parts ?? partsOf(message.content) });
  }

  /** Asks again for an answer to the last message of a person, as the same message. @returns {Promise<void>} */
  async reload() {
    const question = this.messages.findLast(({ role }) => role === "user");
    if (!question) return undefined;
    this.#clearQueue();
    if (question.metadata?.delivery === "failed") this.retrySend(question.id);
    const asked = [...this.#turns.values()].find(({ errand }) => errand.message.id === question.id);
    if (question.metadata?.delivery) return asked?.done; // it is not there to be answered again
    if (asked) {
      this.#dropped.add(asked.errand.runId);
      void this.#stopTurns([asked]);
    }
    const place = this.messages.indexOf(question);
    const answers = this.messages.slice(place).filter(({ role, metadata }) => {
      return role === "assistant" && (metadata?.parentId ?? question.id) === question.id;
    });
    for (const { metadata } of answers) this.#dropped.add(metadata?.runId);
    this.#dropped.delete(undefined);
    this.setMessages(this.messages.filter((message) => !answers.includes(message)));
    const { runId } = this.post({ runId: this.#options.ids(), message: question, again: true });
    return this.#turns.get(runId)?.done;
  }

  /**
   * Stops what was asked here, and no more; or one run, whoever's. What was written stays.
   *
   * @override @param {string} [runId] @returns {Promise<boolean>} whether something was stopped
   */
  stop(runId) {
    if (runId !== undefined) return this.#stopRun(runId);
    this.#clearQueue();
    return this.#stopTurns([...this.#turns.values()]);
  }

  /** Stops everything that is under way, of all people. */
  stopAll() {
    return super.stop();
  }

  /** Empties what is shown here, and stops what was asked here. The session keeps it: others see it, a reload too. */
  clear() {
    for (const { id } of this.messages) this.#dropped.add(id);
    for (const runId of [...this.activeRuns, ...this.#turns.keys()]) this.#dropped.add(runId);
    void this.stop();
    for (const { id } of this.messages) this.discard(id);
    this.#error = undefined;
    this.setMessages([]);
  }

  /** Shows other messages here, in place of the session's so far. @param {Message[]} messages */
  setMessages(messages) {
    const touched = { messages: new Set(), runs: new Set() };
    const stored = messages.filter(({ metadata }) => !metadata?.delivery);
    super.hear({ type: "MESSAGES_SNAPSHOT", messages: stored }, touched);
    this.#options.connection.setMessages?.(stored);
    this.emit("change", touched);
  }

  /** Takes a message back that waits here. @param {string} id */
  cancelQueued(id) {
    this.#queue = this.#queue.filter((each) => each.id !== id);
    this.#tellQueue();
  }

  /** @override @param {string} messageId */
  discard(messageId) {
    const turn = [...this.#turns.values()].find(({ errand }) => errand.message.id === messageId);
    const text = super.discard(messageId);
    if (turn && text !== undefined) this.#settle(turn.errand.runId);
    this.#update();
    return text;
  }

  /** @override */
  close() {
    super.close();
    for (const runId of this.#turns.keys()) this.#settle(runId);
  }

  /** @protected @override @param {Errand} errand */
  post(errand) {
    const { runId, parentRunId = runId } = errand;
    const before = this.#turns.get(parentRunId);
    if (this.#stopped.has(parentRunId)) return errand; // stopped while a tool was running
    this.#turns.delete(parentRunId);
    this.#turns.set(runId, { ...(before ?? createTurn()), errand, begun: false });
    this.#error = undefined;
    return super.post(errand);
  }

  /** @protected @override @param {Chunk} chunk @param {Touched} touched */
  hear(chunk, touched) {
    const runId = this.#ownerOf(chunk);
    this.emit("chunk", { chunk, runId });
    if (chunk.type === "RUN_STARTED") this.#begin(runId ?? "");
    if (chunk.name === "message.dropped") for (const id of chunk.value?.runIds ?? []) this.#settle(id);
    const dropped = this.#dropped.has(runId) || this.#dropped.has(chunk.messageId);
    if (!dropped) super.hear(chunk, touched);
    if (!isTerminal(chunk) || isHandoff(chunk)) return;
    if (dropped) super.hear({ type: "RUN_FINISHED", runId, outcome: { type: "cancelled" } }, touched);
    // An error of no run is everybody's.
    for (const id of runId === undefined ? [...this.#turns.keys()] : [runId]) this.#end(id, chunk);
  }

  /** @param {string} runId */
  #begin(runId) {
    const turn = this.#turns.get(runId);
    if (turn) turn.begun = true;
    if (this.#stopped.delete(runId)) void this.#stopRun(runId);
  }

  /** @param {string} runId @param {Chunk} chunk */
  #end(runId, chunk) {
    const turn = this.#turns.get(runId);
    if (!turn) return;
    if (chunk.type === "RUN_ERROR") {
      const error = new RunError({ ...chunk, runId });
      this.#fail(runId, error);
      this.emit("error", { error, runId });
    } else if (needsOnlyTools(chunk.outcome?.interrupts)) {
      turn.begun = false; // the turn goes on with what the tools give
    } else {
      this.#settle(runId);
      this.emit("finish", { runId, message: this.messages.findLast(({ metadata }) => metadata?.runId === runId) });
    }
  }

  /** @param {Pick<Message, "parts"> & Partial<Message>} message @param {Record<string, any>} [data] */
  #ask({ id = this.#options.ids(), parts, metadata }, data = {}) {
    const { me, ids } = this.#options;
    const author = { participantId: me.id, createdAt: Date.now() };
    const message = { id, role: "user", name: me.name, parts, metadata: { ...metadata, ...author } };
    const wanted = Object.keys(data).length ? data : undefined;
    const { runId } = this.post({ runId: ids(), message, again: false, data: wanted });
    return this.#turns.get(runId)?.done;
  }

  /** They are over at once, their runs when the server says so. @param {Turn[]} turns */
  async #stopTurns(turns) {
    for (const { begun, errand } of turns) {
      this.#settle(errand.runId);
      if (!begun) this.#stopped.add(errand.runId);
    }
    this.#update();
    const stopped = await Promise.all(turns.map(({ errand }) => this.#stopRun(errand.runId)));
    return stopped.includes(true);
  }

  /** @param {string} runId */
  async #stopRun(runId) {
    return this.#options.connection.stop?.(runId) ?? super.stop(runId);
  }

  /** @param {string} runId */
  #settle(runId) {
    this.#turns.get(runId)?.settle();
    this.#turns.delete(runId);
  }

  /** @param {string} runId @param {Error} error */
  #fail(runId, error) {
    this.#settle(runId);
    this.#error = error;
    this.#clearQueue();
  }

  /** Tells what has changed; with nothing under way and nothing wrong, the next of the queue has its turn. */
  #update() {
    const state = this.#state();
    const { status, isLoading, sessionGenerating } = this;
    if (state !== this.#told) this.emit("status", { status, isLoading, sessionGenerating });
    this.#told = state;
    if (status !== "ready" || !this.#queue.length) return;
    const [{ id, content, body }, ...rest] = this.#queue;
    this.#queue = rest;
    this.#tellQueue();
    void this.#ask({ ...content, id, parts: partsOf(content.content) }, body);
  }

  #state() {
    return `${this.status} ${this.sessionGenerating}`;
  }

  #clearQueue() {
    if (!this.#queue.length) return;
    this.#queue = [];
    this.#tellQueue();
  }

  #tellQueue() {
    this.emit("queue", { queue: this.queue });
  }
}

/** @returns {Omit<Turn, "errand">} */
function createTurn() {
  let settle = () => {};
  /** @type {Promise<void>} */
  const done = new Promise((resolve) => (settle = resolve));
  return { begun: false, done, settle };
}

/** @param {string | any[]} content @returns {any[]} */
const partsOf = (content) =>
  typeof content !== "string" ? content : content.trim() ? [{ type: "text", content }] : [];
