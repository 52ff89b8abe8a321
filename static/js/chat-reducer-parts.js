/**
 * What events do to the parts of one message, what they tell of one run, and how a MESSAGES_SNAPSHOT is read, as in
 * `parts.py`, `runs.py` and `history.py` of `webapp/chat/reducer/`, which say more. Functions change the message they
 * are given.
 *
 * @typedef {Record<string, any>} Obj   any JSON object
 * @typedef {{type: string} & Obj} Part
 * @typedef {{id: string, role: string, parts: Part[], name?: string, metadata?: Obj}} Message
 * @typedef {{runId: string, status: string, messageIds: string[]} & Obj} RunInfo
 */

import { parsePartial, parseWhole } from "./partial-json.js";

/** The string `value`; empty if it is none. @param {any} value @returns {string} */
export const str = (value) => (typeof value === "string" ? value : "");

/** @param {any} value */
export const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The JSON object `value`; empty if it is none. @param {any} value @returns {Obj} */
export const record = (value) => (isRecord(value) ? value : {});

/** What TanStack servers say beyond AG-UI. @param {Obj} event @returns {Obj} */
export const tanstack = (event) => record(record(event.metadata).tanstack);

/** The part of this kind whose `key` is `value`. @param {Message} message @param {string} kind @param {string} key @param {any} value */
export const find = ({ parts }, kind, key, value) => parts.findLast((part) => part.type === kind && part[key] === value);

/** @param {Message | undefined} message @param {string} call */
export const hasCall = (message, call) => !!message && !!find(message, "tool-call", "id", call);

/** @param {Message} message @param {any} incoming */
export function mergeMetadata(message, incoming) {
  if (!isRecord(incoming)) return;
  const before = record(message.metadata);
  const metadata = (message.metadata = { ...before, ...incoming });
  if (!isRecord(incoming.tanstack)) return;
  const { content, args, createdAt, ...kept } = incoming.tanstack;
  metadata.tanstack = { ...record(before.tanstack), ...kept };
}

/** @param {Message} message */
export const isBlank = ({ parts }) =>
  parts.length > 0 && parts.every((part) => part.type === "text" && /^[ \t\n\r]*$/.test(str(part.content)));

/** @param {Part} part @param {string} key @param {string} delta */
const extend = (part, key, delta) => (part[key] = str(part[key]) + delta);

/** @param {Message} message @param {Part} part */
function push(message, part) {
  message.parts.push(part);
  return part;
}

/** @param {Message} message @param {Part | undefined} old @param {Part} part */
function put({ parts }, old, part) {
  parts.splice(old ? parts.indexOf(old) : parts.length, 1, part);
}

/** The messages that say they follow this one. @param {any} id @param {Message[]} all */
export const following = (id, all) => all.filter(({ metadata }) => record(metadata).parentId === id);

/**
 * Whether a person has said this and nobody has begun to answer.
 * @param {Message | undefined} message @param {Message[]} all @param {Map<string, RunInfo>} runs
 */
export const waits = (message, all, runs) =>
  message?.role === "user" &&
  ![...runs.values()].some(({ triggerId }) => triggerId === message.id) &&
  !following(message.id, all).some(({ role }) => role === "assistant");

/** All its text is now this, where the first of it was. @param {Message} message @param {string} text */
export function replaceText(message, text) {
  const first = message.parts.find(({ type }) => type === "text") ?? push(message, { type: "text" });
  first.content = text;
  message.parts = message.parts.filter((part) => part === first || part.type !== "text");
}

/** @param {Message} message @param {string} delta */
export function appendText(message, delta) {
  const last = message.parts.at(-1);
  extend(last?.type === "text" ? last : push(message, { type: "text" }), "content", delta);
}

/** @param {Message} message @param {string} stepId @param {string} delta @param {string} [signature] */
export function think(message, stepId, delta, signature) {
  const part = find(message, "thinking", "stepId", stepId) ?? push(message, { type: "thinking", stepId });
  extend(part, "content", delta);
  if (signature) part.signature = signature;
}

/** @param {Message} message @param {string} id @param {string} name @param {any} metadata */
export function callTool(message, id, name, metadata) {
  const part = push(message, { type: "tool-call", id, name, arguments: "", state: "awaiting-input" });
  if (metadata != null) part.metadata = metadata;
}

/** @param {Part} part @param {string} delta */
export function addArguments(part, delta) {
  extend(part, "arguments", delta);
  if (delta && part.state === "awaiting-input") part.state = "input-streaming";
}

/** @param {Part} part */
export const awaitsArguments = ({ type, state }) =>
  type === "tool-call" && (state === "awaiting-input" || state === "input-streaming");

/** `given` is the producer's own reading and outranks ours. @param {Part} part @param {any} [given] */
export function endArguments(part, given) {
  if (given != null) part.arguments = str(part.arguments) || JSON.stringify(given);
  if (awaitsArguments(part)) part.state = "input-complete";
  const value = given ?? parseWhole(str(part.arguments));
  if (value !== undefined) part.input = value;
}

/** @param {Part} part @param {string} id */
export function requestApproval(part, id) {
  part.state = "approval-requested";
  part.approval = { id, needsApproval: true };
}

/** Somebody has answered the question that the call waits for. @param {Part} part @param {boolean} approved */
export function decide(part, approved) {
  part.approval = { ...record(part.approval), approved };
  if (part.state === "approval-requested") part.state = "approval-responded";
}

/** When a call of ours was complete, or its result. @param {Part} part @param {string} key @param {Obj} event */
export function time(part, key, { runId, timestamp }) {
  if (str(runId) && typeof timestamp === "number") part[key] = timestamp;
}

/** @param {Message} message @param {string} toolCallId @param {any} content @param {boolean} failed @param {Obj} [extra] */
export function giveResult(message, toolCallId, content, failed, extra) {
  const value = typeof content === "string" ? parseWhole(content) : undefined;
  const output = value === undefined ? content : value;
  const state = failed ? "error" : "complete";
  Object.assign(find(message, "tool-call", "id", toolCallId) ?? {}, { output, state });
  /** @type {Part} */
  const result = { type: "tool-result", toolCallId, content, state };
  if (failed) result.error = str(output) || str(record(output).error) || "Tool execution failed";
  put(message, find(message, "tool-result", "toolCallId", toolCallId), { ...result, ...extra });
}

/** @param {Message} message */
const structured = ({ parts }) => parts.find((part) => part.type === "structured-output");

/** @param {Message} message */
const beginStructured = (message) =>
  structured(message) ?? push(message, { type: "structured-output", status: "streaming", raw: "" });

/** @param {Message} message @param {string} delta */
export function appendStructured(message, delta) {
  const part = beginStructured(message);
  part.status = "streaming";
  extend(part, "raw", delta);
}

/** Bring `partial` up to date. At each delta that would be quadratic. @param {Message} message */
export function readStructured(message) {
  const part = structured(message);
  const partial = part && parsePartial(str(part.raw));
  if (part && partial != null) part.partial = partial;
}

/** @param {Message} message @param {Obj} value `{object, raw?, reasoning?}` */
export function completeStructured(message, { object: data, raw, reasoning }) {
  const old = structured(message);
  /** @type {Part} */
  const part = { type: "structured-output", status: "complete", raw: str(raw) || str(old?.raw) };
  if (data !== undefined) Object.assign(part, { data, partial: data, raw: part.raw || JSON.stringify(data) });
  if (str(reasoning)) part.reasoning = reasoning;
  put(message, old, part);
}

/** @param {Message} message @param {string} errorMessage */
export function failStructured(message, errorMessage) {
  const part = beginStructured(message);
  if (part.status !== "complete") Object.assign(part, { status: "error", errorMessage });
}

/** @param {Obj} event a RUN_STARTED @returns {RunInfo} */
export function begun({ runId, metadata, timestamp: startedAt }) {
  const { agentId, agentName, triggerId, attempt, continues } = record(metadata);
  /** @type {RunInfo} */
  const info = { runId, status: "running", messageIds: [] };
  for (const [key, value] of Object.entries({ agentId, agentName, triggerId, continues })) if (str(value)) info[key] = value;
  for (const [key, value] of Object.entries({ attempt, startedAt })) if (typeof value === "number") info[key] = value;
  return info;
}

/** Whether `old` has ended and is now history. @param {RunInfo} newer @param {RunInfo} old */
export const supersedes = ({ triggerId, agentId }, old) =>
  triggerId && old.triggerId === triggerId && old.agentId === agentId && old.status !== "running";

/**
 * What somebody has answered to what the run asked; undefined if it did not ask that or has its answer.
 * @param {RunInfo} run @param {Obj} value
 */
export function decisionOf({ interrupts = [], decisions = [] }, value) {
  const interruptId = str(value.interruptId);
  const asked = interruptId && interrupts.some((/** @type {Obj} */ { id }) => id === interruptId);
  if (!asked || decisions.some((/** @type {Obj} */ each) => each.interruptId === interruptId)) return undefined;
  const { decidedAt, arguments: edited, reason } = value;
  return {
    interruptId,
    approved: value.approved === true,
    participantId: str(value.participantId),
    name: str(value.name),
    ...(typeof decidedAt === "number" && { decidedAt }),
    ...(isRecord(edited) && { arguments: edited }),
    ...(str(reason) && { reason }),
  };
}

/** How a run ended if not by answering. @param {RunInfo | undefined} info @param {any} outcome the type of its outcome */
export function endOf(info, outcome) {
  if (outcome === "interrupt") return "awaiting-approval";
  if (outcome === "cancelled") return "stopped";
  return info?.messageIds.length ? "" : "silent";
}

/** @param {RunInfo | undefined} info @param {Obj} event a RUN_ERROR @param {string} messageId where it is shown @returns {RunInfo} */
export function failed(info, { runId, code, message }, messageId) {
  const status = code === "interrupted" ? code : "failed";
  return { messageIds: [messageId], ...info, runId, status, error: sentence(message), ...(str(code) && { code }) };
}

/** @param {any} message */
export const sentence = (message) => str(message) || "An error occurred";

/** `name` and `metadata` of a message by this run. @param {RunInfo | undefined} info */
export function signature(info) {
  const { runId, agentId, agentName, startedAt, triggerId, first } = record(info);
  const told = {
    ...(startedAt !== undefined && { createdAt: startedAt }),
    ...(triggerId && { parentId: triggerId }),
    ...(first && { continues: first }),
  };
  return { ...(agentName && { name: agentName }), ...(agentId && { metadata: { agentId, runId, ...told } }) };
}

/** @type {Record<string, string>} */
const ROLES = { user: "user", system: "system", developer: "system" };

/** @param {any} value @returns {any[]} */
const records = (value) => (Array.isArray(value) ? value.filter(isRecord) : []);

/** @param {any} value @returns {Part[]} */
const partsOf = (value) =>
  records(value).flatMap((part) => (typeof part.type === "string" ? { ...part, type: part.type } : []));

/**
 * The messages of a MESSAGES_SNAPSHOT.
 * @param {any} given @param {Message[]} before the messages it replaces @param {() => string} newId @returns {Message[]}
 */
export function readHistory(given, before, newId) {
  /** @type {Message[]} */
  const messages = [];
  for (const each of records(given)) {
    const id = str(each.id) || newId();
    if (messages.some((message) => message.id === id)) continue;
    const call = str(each.toolCallId);
    const holder =
      each.role === "tool" &&
      (messages.findLast((message) => call && find(message, "tool-call", "id", call)) ?? messages.findLast(isAnswer));
    if (holder) {
      readResult(holder, each);
      continue;
    }
    const message = readMessage(id, each);
    while (message.role === "assistant" && each.role !== "reasoning" && isThought(messages.at(-1))) {
      message.parts.unshift(.../** @type {Message} */ (messages.pop()).parts);
    }
    const { name, metadata } = before.find((old) => old.id === id) ?? {};
    messages.push({ ...(name && { name }), ...(metadata && { metadata }), ...message });
  }
  return messages;
}

/** @param {Message} message */
const isAnswer = ({ role, parts }) => role === "assistant" && !(parts.length === 1 && parts[0].type === "tool-result");

/** @param {Message | undefined} message */
const isThought = (message) => !!message?.parts.length && message.parts.every((part) => part.type === "thinking");

/** @param {string} id @param {Obj} given @returns {Message} */
function readMessage(id, given) {
  const { role, content, name, metadata } = given;
  /** @type {Message} */
  const message = { id, role: Object.hasOwn(ROLES, str(role)) ? ROLES[role] : "assistant", parts: [] };
  const { parts } = message;
  if (Array.isArray(given.parts)) {
    parts.push(...partsOf(given.parts));
  } else if (role === "tool") {
    readResult(message, given);
  } else if (role === "reasoning") {
    parts.push({ type: "thinking", content: str(content), stepId: id });
  } else if (role === message.role || role === "developer") {
    if (str(content)) parts.push({ type: "text", content });
    for (const part of partsOf(content)) {
      if (part.type !== "text") parts.push(part);
      else parts.push({ type: "text", content: str(part.text) || str(part.content) });
    }
    for (const call of records(given.toolCalls)) {
      const made = record(call.function);
      callTool(message, str(call.id), str(made.name), undefined);
      endArguments(Object.assign(/** @type {Part} */ (parts.at(-1)), { arguments: str(made.arguments) }));
    }
  }
  if (str(name)) message.name = name;
  mergeMetadata(message, metadata);
  return message;
}

/** @param {Message} message @param {Obj} given */
function readResult(message, { id, toolCallId, content, error }) {
  const extra = { ...(str(id) && { id }), ...(str(error) && { error }) };
  giveResult(message, str(toolCallId), content ?? "", !!str(error), extra);
}
