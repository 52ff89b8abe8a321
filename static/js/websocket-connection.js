/**
 * Any number of runs over one WebSocket, in TanStack's frames. Owns which run is on which socket.
 *
 *     to the server      a RunAgentInput           starts the run, or goes on with it
 *                        {type: "abort", runId}    stops it
 *     from the server    {id, chunk, runId?}       a chunk, its place in its run, and which run that is
 *                        a chunk                   of a server that keeps none: a lost run stays lost
 *                        {type: "ping"}            every `ping` ms; it is not answered
 *     handshakes         ?runId=R                  the conversation; R is the first run it will be sent
 *                        ?runId=R&offset=ID        R's chunks after ID (-1: all) and nothing else; closed with 1000
 *                                                  at the end of the run, with 1008 if the server knows none
 *
 * A run whose socket is lost goes on over a socket of its own; the conversation gets a new one with the next run.
 */

import { abortable } from "./abort.js";
import { createQueue } from "./adapter-queue.js";
import { createOwnership, createRunEnd, isHandoff, parseEnvelope } from "./chunks.js";
import { checkSize } from "./event-size.js";
import { createResumePoint } from "./resume.js";
import { createRunInput } from "./run-input.js";
import { DurableStreamIncompleteError } from "./stream-errors.js";
import { openLink } from "./websocket-link.js";

/** @import {Chunk, UrlSource, WebSocketConnection, WebSocketOptions} from "./types.js" */
/** @import {Link} from "./websocket-link.js" */
/** @typedef {ReturnType<typeof createQueue<Chunk>>} Queue */

const ENDED = 1000;
/** The server will not have us, and asking again is no use. @param {number} code */
const isRefusal = (code) => [1003, 1007, 1008, 1009].includes(code) || (code > 4000 && code < 5000);

/**
 * A run until its end.
 *
 * @typedef {object} Run
 * @property {string} runId
 * @property {ReturnType<typeof createRunEnd>} end
 * @property {ReturnType<typeof createResumePoint>} place
 * @property {boolean} handoff             its last word was the end of a turn, not of the run
 * @property {boolean} progressed          since its socket was opened
 * @property {Link} [link]                 the socket it is on
 * @property {AbortController} [pause]     before the next socket
 * @property {(chunk: Chunk) => void} push
 * @property {(error?: unknown) => void} finish   called once; with an error if it is lost
 */

/** @param {UrlSource} url @param {WebSocketOptions} [options] @returns {WebSocketConnection} */
export function webSocket(url, options = {}) {
  /** Those that were sent from here and have not ended. @type {Map<string, Run>} */
  const runs = new Map();
  /** @type {Set<Queue>} */
  const subscribers = new Set();
  /** @type {Link | undefined} */
  let conversation;
  let tags = false; // whether this server tags its chunks
  const ownerOf = createOwnership();

  /** What came before anybody listened. @type {Chunk[]} */
  const early = [];

  /** @param {...Chunk} chunks */
  function broadcast(...chunks) {
    if (subscribers.size === 0) early.push(...chunks);
    for (const queue of subscribers) chunks.forEach(queue.push);
  }

  /** @param {{runId: string, threadId?: string}} ids @param {Pick<Run, "push" | "finish">} ends @returns {Run} */
  const createRun = (ids, ends) => ({
    runId: ids.runId,
    end: createRunEnd(ids),
    place: createResumePoint(options.reconnect),
    handoff: false,
    progressed: false,
    ...ends,
  });

  /** @param {string} text @param {Run} [only]   the run of a socket that has just one */
  function receive(text, only) {
    checkSize(text.length);
    const { chunk, id, runId } = parseEnvelope(text);
    tags ||= id !== undefined;
    const named = runId ?? ownerOf(chunk);
    const run = only ?? (named === undefined && runs.size === 1 ? [...runs.values()][0] : runs.get(named ?? ""));
    if (!run) return broadcast(chunk); // of a run that was stopped, say
    if (!run.place.isNew(id)) return;
    run.progressed = true;
    run.end.note(chunk);
    run.handoff = isHandoff(chunk);
    run.push(chunk);
    if (run.end.over && !run.handoff) run.finish();
  }

  const onConversation = () => [...runs.values()].filter(({ link }) => link && link === conversation);

  /** The socket that takes runs. @param {string} runId @returns {Link} */
  function converse(runId) {
    if (conversation?.usable) return conversation;
    const link = openLink(url, { runId }, options, {
      onFrame(text) {
        try {
          receive(text);
        } catch (error) {
          const lost = onConversation();
          link.close();
          for (const run of lost) run.finish(error);
          if (lost.length === 0) fail(error);
        }
      },
      onLost: (code, error) => onConversation().forEach((run) => recover(run, code, error)),
    });
    conversation = link;
    return link;
  }

  /** A socket of its own for a run, from where it is. @param {Run} run */
  function reopen(run) {
    run.progressed = false;
    run.place.begin();
    run.link = openLink(url, { runId: run.runId, offset: run.place.lastId ?? "-1" }, options, {
      onFrame(text) {
        try {
          receive(text, run);
        } catch (error) {
          run.finish(error);
        }
      },
      onLost: (code, error) => recover(run, code, error),
    });
  }

  /** @param {Run} run @param {number} code @param {unknown} cause */
  async function recover(run, code, cause) {
    run.link = undefined;
    if (code === ENDED && (run.end.over || !tags)) return run.finish();
    if (!tags || isRefusal(code)) return run.finish(cause);
    const pause = (run.pause = new AbortController());
    try {
      await run.place.wait(run.progressed, pause.signal, code === ENDED ? new DurableStreamIncompleteError() : cause);
      reopen(run);
    } catch (error) {
      if (!pause.signal.aborted) run.finish(error);
    }
  }

  /** @param {Run} run */
  function letGo(run) {
    run.pause?.abort();
    if (run.link !== conversation) run.link?.close();
    run.link = undefined;
  }

  /** Nobody listens: nothing stays open. What was under way goes on when somebody does again, if it can. */
  function rest() {
    conversation?.close();
    conversation = undefined;
    for (const run of [...runs.values()]) tags ? letGo(run) : run.finish();
  }

  /** @param {unknown} error */
  const fail = (error) => subscribers.forEach((queue) => queue.close({ error }));

  /** @param {Queue} queue */
  function leave(queue) {
    if (subscribers.delete(queue) && subscribers.size === 0) rest();
  }

  /** @param {string} runId */
  async function stop(runId) {
    try {
      const link = converse(runId);
      await link.opened;
      link.send({ type: "abort", runId });
    } catch {
      // A server that cannot be told will notice that nobody is there.
    }
  }

  return {
    async *subscribe(signal) {
      if (signal?.aborted) return;
      /** @type {Queue} */
      const queue = createQueue();
      const abort = () => leave(queue);
      signal?.addEventListener("abort", abort);
      subscribers.add(queue);
      broadcast(...early.splice(0));
      for (const run of runs.values()) if (!run.link) reopen(run);
      try {
        yield* queue.read(signal);
      } finally {
        signal?.removeEventListener("abort", abort);
        leave(queue);
      }
    },

    async send(messages, data, signal, context) {
      signal?.throwIfAborted();
      const input = createRunInput(messages, data, context, options.body);
      const { runId } = input;
      const link = converse(runId);
      await abortable(link.opened, signal);
      link.send(input);

      const before = runs.get(runId);
      for (const each of runs.values()) if (each.handoff || each === before) each.finish(); // it goes on with this
      const run = createRun(input, { push: broadcast, finish });
      if (before) run.place = before.place;
      run.link = link;
      runs.set(runId, run);
      // By then it is known whether everybody left (which stops nothing) or only this was given up.
      const abort = () =>
        queueMicrotask(() => {
          if (runs.get(runId) !== run) return;
          finish();
          if (subscribers.size > 0) void stop(runId);
        });
      signal?.addEventListener("abort", abort);

      /** @param {unknown} [error] */
      function finish(error) {
        if (runs.get(runId) !== run) return;
        runs.delete(runId);
        signal?.removeEventListener("abort", abort);
        letGo(run);
        if (error !== undefined && !run.end.over) {
          broadcast(run.end.failed(error));
          if (runs.size === 0) fail(error);
        }
        if (runs.size === 0 && subscribers.size === 0) rest();
      }
    },

    async *joinRun(runId, signal) {
      signal?.throwIfAborted();
      /** @type {Queue} */
      const queue = createQueue();
      const run = createRun(
        { runId },
        { push: queue.push, finish: (error) => queue.close(error === undefined ? {} : { error }) },
      );
      reopen(run);
      try {
        yield* queue.read(signal);
        signal?.throwIfAborted();
      } finally {
        letGo(run);
      }
    },
  };
}
