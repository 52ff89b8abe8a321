/**
 * One connection for all tabs of a browser, whatever adapter it is. One tab leads: it alone subscribes and sends, the
 * others hear from it and ask it to send. Owns what every tab must know to take over, or to join in the middle.
 */

import { abortable } from "./abort.js";
import { createQueue, getChunkRunId, normalizeConnectionAdapter } from "./adapter-queue.js";
import { createOwnership, createRunEnd, isTerminal } from "./chunks.js";
import { withoutToolRequests } from "./client-tools.js";
import { createId } from "./ids.js";
import { shareFollowing } from "./shared-batches.js";
import { DurableStreamIncompleteError, StreamReadError } from "./stream-errors.js";
import { canShare, joinTabs } from "./tab-leader.js";

/** @import {Chunk, ConnectionAdapter, DurableConnection, SubscribeConnection, TabsOptions} from "./types.js" */

/**
 * The connection as every tab may use it, under a name that is the same in all of them. A durable connection stays
 * what it is and shares only its reading: each tab posts by itself, and knows its own place.
 *
 * Without Web Locks (plain http) or BroadcastChannel each tab has a connection of its own.
 *
 * @param {ConnectionAdapter} connection @param {TabsOptions} options @returns {SubscribeConnection}
 */
export function sharedConnection(connection, options) {
  if (!canShare(options)) return normalizeConnectionAdapter(connection);
  const durable = /** @type {DurableConnection & SubscribeConnection} */ (connection);
  if (!durable.follow) return shareRuns(connection, options);
  return Object.assign(durable, { follow: shareFollowing(durable, options) });
}

/**
 * A message on its way to the leader.
 *
 * @typedef {object} Errand
 * @property {{type: "send", id: string, messages: any[], data: any, run: any}} request
 * @property {() => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {boolean} orphaned   the tab that had it is gone; the run's end answers it
 */

/** @param {ConnectionAdapter} connection @param {TabsOptions} options @returns {SubscribeConnection} */
function shareRuns(connection, options) {
  const adapter = normalizeConnectionAdapter(connection);
  const connectOnly = "connect" in connection;
  const ownerOf = createOwnership();
  /** What was sent from here and is not answered. @type {Map<string, Errand>} */
  const errands = new Map();
  /** What has come of the runs under way, the question first. @type {Map<string, {question: Chunk[], chunks: Chunk[]}>} */
  const runs = new Map();
  /** What the leader sends for all. @type {Map<string, AbortController>} */
  const sending = new Map();
  /** Runs sent from here: only they may ask for a tool here. @type {Set<string>} */
  const own = new Set();
  /** @type {ReturnType<typeof createQueue<Chunk>>} */
  let queue;
  /** @type {ReturnType<typeof joinTabs> | undefined} */
  let tabs;
  /** @type {AbortSignal | undefined} */
  let leading;
  let fresh = true; // has not been told what is under way

  /** @param {string | undefined} runId @param {Chunk} chunk */
  function take(runId, chunk) {
    const mine = runId === undefined || own.has(runId) ? chunk : withoutToolRequests(chunk);
    if (mine) queue.push(mine);
    if (runId === undefined) return;
    const run = runs.get(runId) ?? { question: [], chunks: [] };
    run.chunks.push(chunk);
    runs.set(runId, run);
    if (!isTerminal(chunk)) return;
    runs.delete(runId);
    own.delete(runId);
    for (const { request, resolve, orphaned } of errands.values()) if (orphaned && request.run.runId === runId) resolve();
  }

  /** @param {Chunk} chunk @param {string} [runId] */
  function publish(chunk, runId = getChunkRunId(chunk) ?? ownerOf(chunk)) {
    tabs?.post({ type: "chunk", runId, chunk });
    take(runId, chunk);
  }

  /** @param {string} runId @param {Chunk[]} question */
  function ask(runId, question) {
    runs.set(runId, { question, chunks: [] });
  }

  /** Sends for whoever asks. @param {Errand["request"]} request */
  async function perform({ id, messages, data, run }) {
    if (sending.has(id)) return;
    const controller = new AbortController();
    sending.set(id, controller);
    const until = leading;
    /** @type {{id: string, error?: any}} */
    const answer = { id };
    try {
      await adapter.send(messages, data, controller.signal, run);
    } catch (error) {
      const { name, message, code, status } = /** @type {any} */ (error);
      answer.error = { name, message, code, status };
    }
    sending.delete(id);
    if (until?.aborted) return; // whoever leads now answers
    tabs?.post({ type: "answer", ...answer });
    settle(answer);
  }

  /** @param {{id: string, error?: any}} answer */
  function settle({ id, error }) {
    const errand = errands.get(id);
    if (error) errand?.reject(Object.assign(new Error(error.message), error));
    else errand?.resolve();
  }

  /** @param {Errand} errand */
  function forward({ request }) {
    if (leading) void perform(request);
    else tabs?.post(request);
  }

  /** Somebody new leads. What was sent and has begun is theirs to finish, the rest is asked for again. */
  function reassign() {
    for (const errand of errands.values()) {
      errand.orphaned = runs.has(errand.request.run.runId) && runs.get(errand.request.run.runId)?.chunks.length !== 0;
      if (!errand.orphaned) forward(errand);
    }
    if (fresh && !leading) tabs?.post({ type: "hello" });
  }

  /** @param {AbortSignal} until */
  function lead(until) {
    leading = until;
    fresh = false;
    until.addEventListener("abort", () => {
      leading = undefined;
      for (const controller of sending.values()) controller.abort();
    });
    void relay(until);
    for (const [runId, { chunks }] of runs) if (chunks.length > 0) void finish(runId, chunks.length, until);
    reassign();
  }

  /** @param {AbortSignal} until */
  async function relay(until) {
    try {
      for await (const chunk of adapter.subscribe(until)) publish(chunk);
      if (!until.aborted) over();
    } catch (error) {
      if (!until.aborted) over(error);
    }
  }

  /** The subscription has ended for all. @param {unknown} [error] */
  function over(error) {
    const { name, message } = /** @type {any} */ (error ?? {});
    tabs?.post({ type: "over", error: error && { name, message } });
    queue.close(error === undefined ? {} : { error });
  }

  /**
   * Goes on with a run of a tab that is gone. A session without joinRun goes on by itself; a request does not.
   *
   * @param {string} runId @param {number} known   how many of its chunks all tabs have @param {AbortSignal} until
   */
  async function finish(runId, known, until) {
    try {
      if (adapter.joinRun) {
        for await (const chunk of adapter.joinRun(runId, until)) if (--known < 0) publish(chunk, runId);
        if (runs.has(runId)) throw new DurableStreamIncompleteError();
      } else if (connectOnly) {
        throw new StreamReadError(undefined, "The tab that this ran in was closed.");
      }
    } catch (error) {
      if (!until.aborted) publish(createRunEnd({ runId }).failed(error), runId);
    }
  }

  /** @type {Record<string, (message: any) => void>} */
  const heed = {
    lead: reassign,
    hello: () => leading && tabs?.post({ type: "runs", runs: [...runs] }),
    send: (request) => leading && void perform(request),
    abort: ({ id }) => sending.get(id)?.abort(),
    answer: settle,
    over: ({ error }) => queue.close(error ? { error: Object.assign(new Error(error.message), error) } : {}),

    runs(message) {
      if (!fresh) return;
      fresh = false;
      for (const [runId, { question, chunks }] of message.runs) {
        ask(runId, question);
        if (!own.has(runId)) question.forEach(queue.push);
        for (const chunk of chunks) take(runId, chunk);
      }
    },
    question({ runId, chunks }) {
      if (fresh) return; // it comes with the runs
      ask(runId, chunks);
      chunks.forEach(queue.push);
    },
    chunk({ runId, chunk }) {
      if (!leading && (!fresh || runId === undefined)) take(runId, chunk);
    },
  };

  return {
    ...adapter,

    async *subscribe(signal) {
      if (signal?.aborted) return;
      const inbox = (queue = createQueue());
      fresh = true;
      runs.clear();
      const joined = (tabs = joinTabs(options, { onMessage: (message) => heed[message.type]?.(message), onLead: lead }));
      const leave = () => joined.leave();
      signal?.addEventListener("abort", leave);
      joined.post({ type: "hello" });
      try {
        yield* inbox.read(signal);
      } finally {
        signal?.removeEventListener("abort", leave);
        leave();
        if (tabs === joined) tabs = undefined;
      }
    },

    async send(messages, data, signal, context) {
      if (!tabs) return adapter.send(messages, data, signal, context);
      signal?.throwIfAborted();
      const id = createId();
      const run = { threadId: createId(), runId: createId(), ...context };
      own.add(run.runId);
      if (connectOnly) {
        const chunks = questionOf(messages.at(-1));
        ask(run.runId, chunks);
        tabs.post({ type: "question", runId: run.runId, chunks });
      }
      try {
        await abortable(
          new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
            /** @type {Errand} */
            const errand = { request: { type: "send", id, messages, data, run }, resolve, reject, orphaned: false };
            errands.set(id, errand);
            forward(errand);
          }),
          signal,
        );
      } catch (error) {
        if (signal?.aborted) {
          sending.get(id)?.abort();
          tabs?.post({ type: "abort", id });
        }
        throw error;
      } finally {
        errands.delete(id);
      }
    },
  };
}

/** What was asked, as chunks for the tabs that did not ask: a request-scoped server does not tell it. @param {any} message @returns {Chunk[]} */
function questionOf({ id: messageId, role, name, parts, content, metadata }) {
  if (role !== "user" || !messageId) return [];
  /** @type {any[]} */
  const all = parts ?? [{ type: "text", content }];
  const text = all.filter(({ type }) => type === "text").map(({ content }) => content).join("");
  return [
    { type: "TEXT_MESSAGE_START", messageId, role, name, metadata },
    { type: "TEXT_MESSAGE_CONTENT", messageId, delta: text },
    ...all
      .filter(({ type }) => type !== "text")
      .map((part) => ({ type: "CUSTOM", name: "message.part", value: { messageId, part } })),
    { type: "TEXT_MESSAGE_END", messageId },
  ];
}
