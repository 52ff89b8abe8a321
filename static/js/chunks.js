/** What adapters know of chunks: how one is read, which ones end a run, and whose a chunk is. */

import { ChunkParseError } from "./stream-errors.js";

/** @import {Chunk, RunContext, TaggedChunk} from "./types.js" */

/** What old servers send when nothing more comes. */
export const DONE = "[DONE]";

/** @param {unknown} value @returns {value is Record<string, any>} */
const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {string} text @returns {Chunk} */
export function parseChunk(text) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    // told below
  }
  if (!isRecord(value)) throw new ChunkParseError(text);
  return value;
}

/** A chunk, or `{id, chunk}`: a chunk has a type, an envelope has none. @param {string} text @returns {TaggedChunk} */
export function parseEnvelope(text) {
  const value = parseChunk(text);
  if ("type" in value || !("chunk" in value)) return { chunk: value };
  if (!isRecord(value.chunk)) throw new ChunkParseError(text);
  return { chunk: value.chunk, id: typeof value.id === "string" ? value.id : undefined, runId: value.runId };
}

/** @param {Chunk} chunk */
export const isTerminal = ({ type }) => type === "RUN_FINISHED" || type === "RUN_ERROR";

/** The end of one turn among several: the same request goes on with what the tools answered. @param {Chunk} chunk */
export const isHandoff = ({ type, outcome, finishReason, metadata }) =>
  type === "RUN_FINISHED" &&
  outcome?.type !== "interrupt" &&
  (finishReason ?? metadata?.tanstack?.finishReason) === "tool_calls";

/** Follows whether a run is over, and under which ids the server knows it. @param {RunContext} [run] */
export function createRunEnd(run) {
  const { threadId, runId } = run ?? {};
  const ids = { threadId, runId };
  return {
    over: false,

    /** @param {Chunk} chunk */
    note(chunk) {
      if (isTerminal(chunk)) this.over = true;
      if (chunk.type === "RUN_STARTED") this.over = false; // another turn
      if (typeof chunk.threadId === "string") ids.threadId = chunk.threadId;
      if (typeof chunk.runId === "string") ids.runId = chunk.runId;
    },

    /** @returns {Chunk} */
    finished: () => ({
      type: "RUN_FINISHED",
      ...ids,
      timestamp: Date.now(),
      metadata: { tanstack: { finishReason: "stop" } },
    }),

    /** @param {unknown} error @returns {Chunk} */
    failed(error) {
      const { message, code } = /** @type {{message?: string, code?: unknown}} */ (isRecord(error) ? error : {});
      const told = { message: message || "The request failed.", ...(typeof code === "string" && { code }) };
      return { type: "RUN_ERROR", ...ids, ...told, timestamp: Date.now() };
    },
  };
}

/** Tells which run a chunk belongs to: the one it names, or the one that began what it is about. */
export function createOwnership() {
  /** @type {Map<string, string>} */
  const owners = new Map();

  /** @param {Chunk} chunk @returns {string | undefined} */
  return (chunk) => {
    const things = [chunk.messageId, chunk.toolCallId].filter((id) => typeof id === "string");
    const named = [chunk.runId, chunk.metadata?.runId, chunk.value?.runId].find((id) => typeof id === "string");
    const run = named ?? things.map((id) => owners.get(id)).find((id) => id !== undefined);
    if (run !== undefined) for (const id of things) owners.set(id, run);
    return run;
  };
}

/**
 * What was asked, as chunks for those who did not ask: a request-scoped server does not tell it.
 *
 * @param {any} message @returns {Chunk[]}
 */
export function questionOf({ id: messageId, role, name, parts, content, metadata }) {
  if (role !== "user" || !messageId) return [];
  /** @type {any[]} */
  const all = parts ?? [{ type: "text", content }];
  const text = all
    .filter(({ type }) => type === "text")
    .map(({ content }) => content)
    .join("");
  return [
    { type: "TEXT_MESSAGE_START", messageId, role, name, metadata },
    { type: "TEXT_MESSAGE_CONTENT", messageId, delta: text },
    ...all
      .filter(({ type }) => type !== "text")
      .map((part) => ({ type: "CUSTOM", name: "message.part", value: { messageId, part } })),
    { type: "TEXT_MESSAGE_END", messageId },
  ];
}
