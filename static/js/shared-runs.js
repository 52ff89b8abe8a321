/**
 * The runs of one adapter for all tabs of a browser. One tab leads: it alone subscribes and sends, the others hear from
 * it and ask it to send. Owns what every tab must know to take over, or to join in the middle: the chunks of each run
 * under way, numbered, so that a tab notices what it lacks and what comes twice.
 */

import { abortable } from "./abort.js";
import { createQueue, getChunkRunId, normalizeConnectionAdapter } from "./adapter-queue.js";
import { createOwnership, createRunEnd, isHandoff, isTerminal, questionOf } from "./chunks.js";
import { withoutToolRequests } from "./client-tools.js";
import { createId } from "./http.js";
import { DurableStreamIncompleteError, StreamReadError } from "./stream-errors.js";
import { joinTabs } from "./tab-leader.js";

/** @import {Chunk, ConnectionAdapter, SubscribeConnection, TabsOptions} from "./types.js" */

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
export function shareRuns(connection, options) {
  const adapter = normalizeConnectionAdapter(connection);
  const connectOnly = "connect" in connection;
  const ownerOf = createOwnership();
  /** What was sent from here and is not answered. @type {Map<string, Errand>} */
  const errands = new Map();
  /** What has come of the runs under way. @type {Map<string, {question: Chunk[], chunks: Chunk[]}>} */
  const runs = new Map();
  /**
   * What the leader has sent for all, until its run is over.
   * @type {Map<string, {runId: string, controller: AbortController}>}
   */
  const sent = new Map();
  /** How to forget the signals of runs sent from here. @type {Map<string, () => void>} */
  const watched = new Map();
  /** Runs sent from here: only they may ask for a tool here. @type {Set<string>} */
  const own = new Set();
  /** @type {ReturnType<typeof createQueue<Chunk>>} */
  let queue;
  /** @type {ReturnType<typeof joinTabs> | undefined} */
  let tabs;
  /** @type {AbortSignal | undefined} */
  let leading;
  /** Runs that are over. @type {Set<string>} */
  const over = new Set();
  let asking = false; // what is under way; somebody must lead to tell it

  /** @param {string} runId */
  function runOf(runId) {
    const run = runs.get(runId) ?? { question: [], chunks: [] };
    runs.set(runId, run);
    return run;
  }

  /**
   * @param {Chunk} chunk @param {string} [runId]
   * @param {number} [n]   which one of its run it is: those of a closed tab come late, or twice
   */
  function take(chunk, runId, n) {
    if (runId === undefined) return queue.push(chunk);
    if (over.has(runId)) return;
    const { chunks } = runOf(runId);
    if (n !== undefined && n > chunks.length) return askAll();
    if (n !== undefined && n < chunks.length) return;
    chunks.push(chunk);
    const mine = own.has(runId) ? chunk : withoutToolRequests(chunk);
    if (mine) queue.push(mine);
    if (!isTerminal(chunk) || isHandoff(chunk)) return;
    runs.delete(runId);
    over.add(runId);
    watched.get(runId)?.();
    for (const [id, each] of sent) if (each.runId === runId) sent.delete(id);
    for (const { request, resolve, orphaned } of errands.values())
      if (orphaned && request.run.runId === runId) resolve();
  }

  /**
   * As leader, to everybody.
   *
   * @param {Chunk} chunk @param {string} [given] @param {number} [place]   which one of its run, if it may be known
   */
  function publish(chunk, given, place) {
    const owner = ownerOf(chunk);
    const runId = given ?? getChunkRunId(chunk) ?? owner;
    const known = runId === undefined ? undefined : (runs.get(runId)?.chunks.length ?? 0);
    if (place !== undefined && place < (known ?? 0)) return;
    tabs?.post({ type: "chunk", chunk, runId, n: known });
    take(chunk, runId);
  }

  /** @param {string} runId @param {Chunk[]} question */
  function hearQuestion(runId, question) {
    if (over.has(runId) || runs.get(runId)?.question.length) return;
    runOf(runId).question = question;
    if (!own.has(runId)) question.forEach(queue.push);
  }

  function askAll() {
    if (!asking) tabs?.post({ type: "hello" });
    asking = true;
  }

  /** Sends for whoever asks. @param {Errand["request"]} request */
  async function perform({ id, messages, data, run }) {
    if (sent.has(id)) return;
    const controller = new AbortController();
    sent.set(id, { runId: run.runId, controller });
    const until = leading;
    /** @type {{id: string, error?: any}} */
    const answer = { id };
    try {
      await adapter.send(messages, data, controller.signal, run);
    } catch (error) {
      const { name, message, code, status } = /** @type {any} */ (error);
      answer.error = { name, message, code, status };
      sent.delete(id);
    }
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
      errand.orphaned = !!runs.get(errand.request.run.runId)?.chunks.length;
      if (!errand.orphaned) forward(errand);
    }
    asking = false;
    if (!leading) askAll();
  }

  /**
   * An abort is the leader's affair until the run is over.
   *
   * @param {string} id @param {string} runId @param {AbortSignal} signal
   */
  function watch(id, runId, signal) {
    const forget = () => {
      watched.delete(runId);
      signal.removeEventListener("abort", stop);
    };
    const stop = () => {
      forget();
      // By then it is known whether this tab has left, which stops nothing.
      queueMicrotask(() => {
        if (!tabs) return;
        heed.abort({ id });
        tabs.post({ type: "abort", id });
      });
    };
    signal.addEventListener("abort", stop);
    watched.set(runId, forget);
  }

  /** @param {AbortSignal} until */
  function lead(until) {
    leading = until;
    until.addEventListener("abort", () => {
      leading = undefined;
      for (const { controller } of sent.values()) controller.abort();
      sent.clear();
    });
    void relay(until);
    reassign();
    for (const [runId, { chunks }] of runs) if (chunks.length > 0) void finish(runId, until);
  }

  /** @param {AbortSignal} until */
  async function relay(until) {
    try {
      for await (const chunk of adapter.subscribe(until)) publish(chunk);
      if (!until.aborted) close();
    } catch (error) {
      if (!until.aborted) close(error);
    }
  }

  /** The subscription has ended for all. @param {unknown} [error] */
  function close(error) {
    const { name, message } = /** @type {any} */ (error ?? {});
    tabs?.post({ type: "over", error: error && { name, message } });
    queue.close(error === undefined ? {} : { error });
  }

  /**
   * Goes on with a run of a tab that is gone. A session without joinRun goes on by itself; a request does not.
   *
   * @param {string} runId @param {AbortSignal} until
   */
  async function finish(runId, until) {
    let place = 0;
    try {
      if (adapter.joinRun) {
        for await (const chunk of adapter.joinRun(runId, until)) publish(chunk, runId, place++);
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
    abort: ({ id }) => sent.get(id)?.controller.abort(),
    answer: settle,
    over: ({ error }) => queue.close(error ? { error: Object.assign(new Error(error.message), error) } : {}),

    runs(message) {
      asking = false;
      for (const [runId, { question, chunks }] of message.runs) {
        hearQuestion(runId, question);
        chunks.forEach((/** @type {Chunk} */ chunk, /** @type {number} */ n) => take(chunk, runId, n));
      }
    },
    question: ({ runId, chunks }) => hearQuestion(runId, chunks),
    chunk: ({ runId, chunk, n }) => leading || take(chunk, runId, n),
  };

  return {
    ...adapter,

    async *subscribe(signal) {
      if (signal?.aborted) return;
      const inbox = (queue = createQueue());
      runs.clear();
      asking = false;
      const joined = (tabs = joinTabs(options, {
        onMessage: (message) => heed[message.type]?.(message),
        onLead: lead,
      }));
      const leave = () => {
        signal?.removeEventListener("abort", leave);
        joined.leave();
        if (tabs === joined) tabs = undefined;
      };
      signal?.addEventListener("abort", leave);
      askAll();
      try {
        yield* inbox.read(signal);
      } finally {
        leave();
        for (const forget of watched.values()) forget();
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
        hearQuestion(run.runId, chunks);
        tabs.post({ type: "question", runId: run.runId, chunks });
      }
      if (signal) watch(id, run.runId, signal);
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
        watched.get(run.runId)?.();
        throw error;
      } finally {
        errands.delete(id);
      }
    },
  };
}
