/**
 * Brings a client that knows nothing to where a snapshot of the reducer is, by chunks alone. Pure.
 *
 * What is finished comes as one MESSAGES_SNAPSHOT. What is being written is empty in it and is written again, each
 * part by a chunk of its own: clients keep the state of an open message beside the message, and only its chunks
 * build that up. So the next delta continues a sentence, a thought or half a tool's arguments.
 */

/** @import {Chunk, Message, Snapshot} from "./types.js" */

/** @param {Partial<Snapshot> & {messages: Message[]}} snapshot @returns {Generator<Chunk, void, void>} */
export function* catchUp({ messages, activeRuns = [], runs = {}, state = {} }) {
  /** @type {Record<string, {open: string[], adopt: string, step: string}>} */
  const lanes = state.lanes ?? {};
  const open = new Set(Object.values(lanes).flatMap((lane) => lane.open));
  const unnamed = Object.values(lanes).map(({ adopt }) => adopt);
  yield {
    type: "MESSAGES_SNAPSHOT",
    messages: messages
      .filter(({ id }) => !unnamed.includes(id))
      .map((message) => (open.has(message.id) ? { ...message, parts: [] } : message)),
  };

  for (const { runId, status, interrupts, supersededBy } of Object.values(runs)) {
    const waits = status === "awaiting-approval" && !supersededBy && interrupts?.length;
    if (waits) yield { type: "RUN_FINISHED", runId, outcome: { type: "interrupt", interrupts } };
  }

  for (const runId of activeRuns) {
    const { agentId, agentName, triggerId, attempt, startedAt } = runs[runId] ?? {};
    yield { type: "RUN_STARTED", runId, timestamp: startedAt, metadata: { agentId, agentName, triggerId, attempt } };
  }
  for (const runId in lanes) {
    const { open, adopt, step } = lanes[runId];
    for (const message of messages.filter(({ id }) => open.includes(id))) {
      const { id } = message;
      yield* rewrite(message, runId || undefined, {
        named: id !== adopt,
        structured: state.structured?.includes(id),
        inSteps: step !== "",
      });
    }
    if (step) yield { type: "STEP_STARTED", runId: runId || undefined, stepName: step };
  }
}

/**
 * @param {Message} message @param {string | undefined} runId
 * @param {{named: boolean, structured: boolean, inSteps: boolean}} how
 *   `named`: its START has come, and with it its id; `inSteps`: the run says which step a thought belongs to
 * @returns {Generator<Chunk, void, void>}
 */
function* rewrite({ id: messageId, role, name, parts, metadata }, runId, { named, structured, inSteps }) {
  if (named) yield { type: "TEXT_MESSAGE_START", messageId, role, name, metadata, runId };
  const start = { ...custom("structured-output.start", { messageId }), runId };
  for (const part of parts) {
    if (inSteps && part.type === "thinking") yield { type: "STEP_STARTED", stepName: part.stepId, runId };
    if (part.type === "structured-output") yield start;
    for (const chunk of CHUNKS_OF[part.type]?.(part, messageId) ?? []) yield { ...chunk, runId };
  }
  if (structured) yield start;
}

/** @param {string} name @param {object} value */
const custom = (name, value) => ({ type: "CUSTOM", name, value });

/** @param {any} part @param {string} messageId */
const media = (part, messageId) => [custom("message.part", { messageId, part })];

/** @type {Record<string, (part: any, messageId: string) => Chunk[]>} */
const CHUNKS_OF = {
  text: ({ content }, messageId) => [{ type: "TEXT_MESSAGE_CONTENT", messageId, delta: content }],

  thinking: ({ stepId, content = "", signature }) => [
    { type: "REASONING_MESSAGE_CONTENT", messageId: stepId, delta: content },
    ...(signature
      ? [{ type: "REASONING_ENCRYPTED_VALUE", subtype: "message", entityId: stepId, encryptedValue: signature }]
      : []),
  ],

  "tool-call"({ id: toolCallId, name, arguments: text, state, input, approval, metadata }, parentMessageId) {
    const written = input !== undefined || ["input-complete", "approval-requested"].includes(state);
    /** @type {Chunk[]} */
    const chunks = [
      { type: "TOOL_CALL_START", toolCallId, toolCallName: name, parentMessageId, metadata },
      { type: "TOOL_CALL_ARGS", toolCallId, delta: text },
    ];
    if (written) chunks.push({ type: "TOOL_CALL_END", toolCallId, input });
    if (state === "approval-requested")
      chunks.push(custom("approval-requested", { toolCallId, toolName: name, input, approval }));
    return chunks;
  },

  "tool-result": ({ toolCallId, content, state }) => [
    {
      type: "TOOL_CALL_RESULT",
      messageId: `${toolCallId}-result`,
      toolCallId,
      content,
      state: state === "error" ? "output-error" : undefined,
    },
  ],

  "structured-output"({ status, raw, data, reasoning }, messageId) {
    if (status === "complete")
      return [custom("structured-output.complete", { object: data, raw, reasoning, messageId })];
    return [{ type: "TEXT_MESSAGE_CONTENT", messageId, delta: raw }];
  },

  "ui-resource": ({ type: _, ...value }) => [custom("ui-resource", value)],
  image: media,
  audio: media,
  video: media,
  document: media,
};
