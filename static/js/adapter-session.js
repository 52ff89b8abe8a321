/**
 * Any connection adapter as a session that a chat client can follow. A request-scoped server tells a run and no more;
 * so what people have said is told here, and the conversation goes along with every question. There is one reader, and
 * nothing to catch up with: who needs that uses a durable connection.
 */

import { createQueue, getChunkRunId, normalizeConnectionAdapter } from "./adapter-queue.js";
import { createReducer } from "./chat-reducer.js";
import { createOwnership, createRunEnd, isHandoff, isTerminal, questionOf } from "./chunks.js";
import { toolRequests } from "./client-tools.js";
import { createId } from "./http.js";

/** @import {Batch, Chunk, ConnectionAdapter, DurableConnection} from "./types.js" */

/** @param {ConnectionAdapter} connection @param {{threadId?: string, snapshot?: any}} [options] @returns {DurableConnection} */
export function adapterSession(connection, { threadId = createId(), snapshot } = {}) {
  const adapter = normalizeConnectionAdapter(connection);
  const ownerOf = createOwnership();
  const history = createReducer(snapshot);
  /** @type {ReturnType<typeof createQueue<Chunk>>} */
  const queue = createQueue();
  /** Runs sent from here and not over. @type {Map<string, AbortController>} */
  const running = new Map();
  /** Messages that have been told here. @type {Set<string>} */
  const said = new Set();
  /** @type {Set<(status: any) => void>} */
  const listeners = new Set();

  /** @param {Chunk} given @param {string} [runId]   whose it is, whatever the server calls it */
  function tell(given, runId) {
    const chunk = runId === undefined ? given : { ...given, runId };
    history.apply(chunk);
    if (isTerminal(chunk) && !isHandoff(chunk)) running.delete(chunk.runId);
    queue.push(chunk);
  }

  /** @param {AbortSignal} [signal] */
  async function relay(signal) {
    try {
      for await (const chunk of adapter.subscribe(signal)) {
        const runId = getChunkRunId(chunk) ?? ownerOf(chunk);
        if (!said.has(chunk.messageId)) tell(chunk, runId);
      }
    } catch (error) {
      if (signal?.aborted) return;
      session.report({ state: "gone", since: Date.now(), error: /** @type {Error} */ (error).message });
    }
  }

  /** What tools of this client gave. A server that takes it in tells it again, or not. @param {any} run */
  function tellResults({ runId, parentRunId, resume = [] }) {
    const outcome = { type: "interrupt", interrupts: history.runs[parentRunId]?.interrupts };
    for (const { interruptId, toolCallId } of toolRequests({ type: "RUN_FINISHED", outcome })) {
      const answer = resume.find((/** @type {any} */ each) => each.interruptId === interruptId);
      const content = typeof answer?.payload === "string" ? answer.payload : JSON.stringify(answer?.payload ?? null);
      if (answer) tell({ type: "TOOL_CALL_RESULT", messageId: `${toolCallId}-result`, toolCallId, content }, runId);
    }
  }

  /** @type {DurableConnection} */
  const session = {
    offset: undefined,

    async *follow(signal) {
      void relay(signal);
      session.report({ state: "live", since: Date.now() });
      for await (const chunk of queue.read(signal)) {
        /** @type {Batch} */
        const batch = { items: [chunk], offset: "", upToDate: true };
        yield batch;
      }
    },

    subscribeBatches: (signal) => session.follow(signal),

    /** Returns at once: what becomes of the run, its chunks say. */
    async send([message], data, _signal, run) {
      const { runId } = run;
      const controller = new AbortController();
      running.set(runId, controller);
      if (!history.message(message.id)) {
        said.add(message.id);
        for (const chunk of questionOf(message)) tell(chunk);
      }
      tellResults(run);
      const end = createRunEnd({ threadId, runId });
      adapter.send([...history.messages], data, controller.signal, { threadId, ...run }).then(
        () => {},
        (error) => running.has(runId) && tell(end.failed(error), runId),
      );
    },

    setMessages: (messages) => void history.apply({ type: "MESSAGES_SNAPSHOT", messages }),

    stop(runId) {
      const controller = running.get(runId);
      if (!controller) return false;
      tell({ type: "RUN_FINISHED", outcome: { type: "cancelled" } }, runId);
      controller.abort();
      return true;
    },

    report: (status) => listeners.forEach((listener) => listener(status)),

    onStatus(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    retryNow() {},
  };
  return session;
}
