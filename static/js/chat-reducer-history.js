/**
 * MESSAGES_SNAPSHOT: a conversation in AG-UI's shape, made into our messages, as in
 * `webapp/chat/reducer_history.py`, which says more. Pure.
 *
 * @typedef {import("./chat-reducer-parts.js").Obj} Obj
 * @typedef {import("./chat-reducer-parts.js").Part} Part
 * @typedef {import("./chat-reducer-parts.js").Message} Message
 */

import { callTool, endArguments, find, giveResult, isRecord, mergeMetadata, record, str } from "./chat-reducer-parts.js";

/** @type {Record<string, string>} */
const ROLES = { user: "user", system: "system", developer: "system" };

/** @param {any} value @returns {any[]} */
const records = (value) => (Array.isArray(value) ? value.filter(isRecord) : []);

/** @param {any} value @returns {Part[]} */
const partsOf = (value) =>
  records(value).flatMap((part) => (typeof part.type === "string" ? { ...part, type: part.type } : []));

/** @param {any} given @param {Message[]} before the messages it replaces @param {() => string} newId @returns {Message[]} */
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
