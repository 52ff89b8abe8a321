/**
 * From messages and runs to the rows of the transcript: the twin of `webapp/web/rows.py` for what is on its way.
 * Whatever is finished the server renders, so tools and data are only named here.
 *
 * @typedef {import("./types.js").Message} Message
 * @typedef {{messages: Message[], runs: Record<string, any>, activeRuns: string[]}} Chat
 * @typedef {{meId: string, canChat: boolean}} Reader
 * @typedef {{key: string, message?: Message, run?: any, grouped: boolean}} Slot  `key`: a message's id, or `run:…`
 *
 * @typedef {{kind: "text" | "thinking" | "data", text: string} | {kind: "tool", id: string, text: string, state: string,
 *   step: string}} Part
 * @typedef {{kind: string, text: string, actions: [label: string, action: string][]}} Notice
 * @typedef {object} Row
 * @property {string} [id]           none: a run that wrote nothing
 * @property {boolean} person
 * @property {boolean} mine
 * @property {boolean} grouped
 * @property {string} name
 * @property {string} speaker        whose colour it wears
 * @property {string} [runId]
 * @property {string} state
 * @property {string} [delivery]     of my own message, until it is part of the stream
 * @property {number} [createdAt]
 * @property {Notice} [notice]
 * @property {Part[]} parts
 */

const GROUP_WITHIN = 5 * 60_000;
const ENDINGS = ["stopped", "interrupted", "failed"];

/**
 * Which rows there are, cheaply: not yet what is in them.
 * @param {Chat} chat
 */
export function slots({ messages, runs, activeRuns }) {
  const mute = Object.values(runs).filter((run) => !run.messageIds?.length && !activeRuns.includes(run.runId));
  /** @type {Slot[]} */
  const found = [];
  for (const message of messages) {
    const before = found[found.length - 1]?.message;
    found.push({ key: message.id, message, grouped: before !== undefined && sameSpeaker(before, message) });
    for (const run of mute) {
      if (run.triggerId === message.id) found.push({ key: `run:${run.runId}`, run, grouped: false });
    }
  }
  return found;
}

/**
 * @param {Slot} slot
 * @param {Chat} chat
 * @param {Reader} reader
 * @returns {Row}
 */
export function rowOf({ message, run, grouped }, { runs, activeRuns }, { meId, canChat }) {
  if (!message) {
    const name = run.agentName || "Agent";
    const notice = noticeOf(run, canChat);
    const { runId, agentId } = run;
    return { person: false, mine: false, grouped, name, speaker: agentId || name, runId, state: notice.kind, notice, parts: [] };
  }
  const { id, metadata = {} } = message;
  const { runId, createdAt, delivery, error } = metadata;
  const person = message.role === "user";
  const speaker = speakerOf(message);
  const name = message.name || (person ? "Guest" : "Agent");
  const state = person ? "done" : stateOf(message, runs[runId], activeRuns);
  /** @type {Notice | undefined} */
  let notice = ENDINGS.includes(state) ? noticeOf(runs[runId], canChat) : undefined;
  if (delivery === "failed") {
    notice = { kind: "unsent", text: error || "This was not sent.", actions: [["Retry", "resend"], ["Edit", "edit"]] };
  }
  const mine = person && speaker === meId;
  return { id, person, mine, grouped, name, speaker: speaker || name, runId, state, delivery, createdAt, notice, parts: partsOf(message) };
}

/** A run's state shows on its last message only. @param {Message} message @param {any} run @param {string[]} active */
function stateOf({ id, metadata }, run, active) {
  if ((run?.messageIds?.at(-1) ?? id) !== id) return "done";
  if (active.includes(metadata?.runId)) return "streaming";
  return [...ENDINGS, "awaiting-approval"].includes(run?.status) ? run.status : "done";
}

/** @param {any} run @param {boolean} canChat @returns {Notice} */
function noticeOf({ status: kind, stoppedBy, error, agentName }, canChat) {
  const texts = new Map([
    ["stopped", stoppedBy?.name ? `Stopped by ${stoppedBy.name}.` : "Stopped."],
    ["interrupted", "The server stopped while this was being written. What had arrived is kept."],
    ["failed", error || "The agent could not finish its answer."],
    ["silent", `${agentName || "The agent"} chose not to answer.`],
  ]);
  const retry = canChat && ENDINGS.includes(kind);
  return { kind, text: texts.get(kind) ?? "The agent ended without an answer.", actions: retry ? [["Retry", "retry"]] : [] };
}

/** @param {Message} message @returns {Part[]} */
function partsOf({ parts }) {
  const calls = parts.filter(({ type }) => type === "tool-call").map(({ id }) => id);
  const results = new Map(parts.filter(({ type }) => type === "tool-result").map((part) => [part.toolCallId, part.state]));
  return parts.flatMap(({ type, content, id, toolCallId, name, state, data, partial, raw }) => {
    if (type === "text") return content ? { kind: "text", text: content } : [];
    if (type === "thinking") return { kind: "thinking", text: content ?? "" };
    if (type !== "tool-call" && type !== "tool-result") return { kind: "data", text: JSON.stringify(data ?? partial ?? raw) ?? type };
    if (toolCallId && calls.includes(toolCallId)) return [];
    const call = toolCallId ?? id;
    const ended = results.get(call) ?? state;
    const shown = ended === "error" ? "error" : ended === "complete" || results.has(call) ? "done" : "running";
    return { kind: "tool", id: call, text: name || "tool", state: shown, step: `${state} ${ended}` };
  });
}

/** @param {Message} before @param {Message} message */
function sameSpeaker(before, message) {
  const pause = message.metadata?.createdAt - before.metadata?.createdAt;
  return before.role === message.role && speakerOf(before) === speakerOf(message) && pause < GROUP_WITHIN;
}

/** @param {Message} message @returns {string} */
function speakerOf({ role, metadata }) {
  return metadata?.[role === "user" ? "participantId" : "agentId"] ?? "";
}
