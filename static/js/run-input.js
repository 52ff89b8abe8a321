/** What an agent is asked with: AG-UI's RunAgentInput, from TanStack's messages and run context. */

import { createId } from "./http.js";

/** @import {RunContext} from "./types.js" */

const MEDIA = ["image", "audio", "video", "document"];

/**
 * `body` is what the connection always sends along, `data` what this message does; the later wins.
 *
 * @param {any[]} messages @param {Record<string, any>} [data] @param {RunContext} [run] @param {Record<string, any>} [body]
 */
export function createRunInput(messages, data, run = {}, body) {
  const forwardedProps = { ...body, ...run.forwardedProps, ...data };
  return {
    threadId: run.threadId ?? createId(),
    runId: run.runId ?? createId(),
    parentRunId: run.parentRunId,
    resume: run.resume,
    state: {},
    messages: messages.flatMap(toWireMessages),
    tools: run.clientTools ?? [],
    context: [],
    forwardedProps,
    data: forwardedProps, // its name before AG-UI
  };
}

/**
 * A UIMessage or ModelMessage as AG-UI messages: thoughts and tool results are messages of their own there.
 *
 * @param {any} message @returns {Record<string, any>[]}
 */
export function toWireMessages(message) {
  const { id = createId(), role, name, metadata } = message;
  const base = { id, role, name, metadata };
  if (!Array.isArray(message.parts)) return [{ ...message, id, content: toContent(message.content) }];
  /** @type {any[]} */
  const parts = message.parts;
  if (role === "user") return [{ ...base, content: toContent(parts) }];
  const text = parts.map(textOf).join("");
  if (role !== "assistant") return [{ ...base, content: text }];

  const ofType = (/** @type {string} */ type) => parts.filter((part) => part.type === type);
  const thoughts = ofType("thinking").map(({ content, signature }, index) => ({
    id: `${id}-reasoning-${index + 1}`,
    role: "reasoning",
    content,
    encryptedValue: signature,
  }));
  const calls = ofType("tool-call");
  const toolCalls = calls.map(({ id, name, arguments: text, metadata }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
    encryptedValue: metadata?.thoughtSignature,
  }));
  const results = ofType("tool-result");
  const answered = calls.filter((call) => !results.some(({ toolCallId }) => toolCallId === call.id)).flatMap(answerOf);
  return [
    ...thoughts,
    { ...base, content: text || undefined, toolCalls: toolCalls.length ? toolCalls : undefined },
    ...[...results, ...answered].map(({ id, toolCallId, content, error }) => ({
      id: id ?? `tool-${toolCallId}`,
      role: "tool",
      toolCallId,
      content: typeof content === "string" ? content : JSON.stringify(content),
      error,
    })),
  ];
}

/** @param {any} part */
function textOf({ type, content, text, status, raw }) {
  if (type === "text") return content ?? text ?? "";
  return type === "structured-output" && status === "complete" ? raw : "";
}

/** Text alone is a string; with media it is a list. @param {any} content */
function toContent(content) {
  if (!Array.isArray(content)) return content ?? "";
  if (!content.some(({ type }) => MEDIA.includes(type))) return content.map(textOf).join("");
  return content
    .filter(({ type }) => type === "text" || MEDIA.includes(type))
    .map((part) => (part.type === "text" ? { type: "text", text: textOf(part) } : part));
}

/** What became of a call that has no result of its own yet: its output, or what somebody decided. @param {any} call */
function answerOf({ id: toolCallId, output, state, approval }) {
  if (output !== undefined) return [{ toolCallId, content: output }];
  if (state !== "approval-responded" || approval?.approved === undefined) return [];
  const { approved } = approval;
  const message = approved ? "User approved this action" : "User denied this action";
  return [{ toolCallId, content: { approved, ...(approved && { pendingExecution: true }), message } }];
}
