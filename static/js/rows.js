/**
 * From messages and runs to the rows of the transcript. The twin of `webapp/web/rows.py`, word for word; what the
 * two render differently is put right when a message is finished and the server's fragment arrives.
 *
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./types.js").RunInfo} RunInfo
 * @typedef {{messages: Message[], runs: Record<string, any>, activeRuns: string[]}} Chat
 *
 * @typedef {{kind: "text", raw: string} | {kind: "thinking", text: string} | {kind: "structured", json: string}
 *   | {kind: "unsupported", label: string} | {kind: "tool", id: string, name: string, summary: string, state: string,
 *      arguments: string, result: string | null, approval: {reason: string, message: string} | null}} Part
 * @typedef {{kind: string, text: string, retry: boolean}} Notice
 * @typedef {object} Row
 * @property {string} key            a message's id, or `run:` and the id of a run that wrote nothing
 * @property {string} [id]
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
const SUMMARY_LENGTH = 80;

/** @typedef {{key: string, message?: Message, run?: any, grouped: boolean}} Slot */

/**
 * The order of the transcript, cheaply: which rows there are, not yet what is in them.
 * @param {Chat} chat
 * @returns {Slot[]}
 */
export function slots({ messages, runs, activeRuns }) {
  /** @type {Map<string, any[]>} */
  const mute = new Map();
  for (const run of Object.values(runs)) {
    if (activeRuns.includes(run.runId) || run.messageIds?.length) continue;
    mute.set(run.triggerId, [...(mute.get(run.triggerId) ?? []), run]);
  }
  /** @type {Slot[]} */
  const found = [];
  /** @type {Message | undefined} */
  let before;
  for (const message of messages) {
    found.push({ key: message.id, message, grouped: before !== undefined && sameSpeaker(before, message) });
    const notices = mute.get(message.id) ?? [];
    for (const run of notices) found.push({ key: `run:${run.runId}`, run, grouped: false });
    before = notices.length ? undefined : message;
  }
  return found;
}

/**
 * @param {Slot} slot
 * @param {Chat} chat
 * @param {{meId: string, canChat: boolean}} reader
 * @returns {Row}
 */
export function rowOf({ key, message, run, grouped }, chat, { meId, canChat }) {
  if (!message) {
    const name = run.agentName || "Agent";
    const notice = noticeOf(run, canChat);
    return { key, person: false, mine: false, grouped, name, speaker: run.agentId || name, runId: run.runId, state: notice.kind, notice, parts: [] };
  }
  const { metadata = {} } = message;
  const person = message.role === "user";
  const speaker = speakerOf(message);
  const name = message.name || (person ? "Guest" : "Agent");
  const info = chat.runs[metadata.runId];
  const state = person ? "done" : stateOf(message, info, chat.activeRuns);
  const ended = state === "stopped" || state === "interrupted" || state === "failed";
  /** @type {Notice | undefined} */
  let notice = ended ? noticeOf(info, canChat) : undefined;
  if (metadata.delivery === "failed") notice = { kind: "unsent", text: metadata.error || "This was not sent.", retry: true };
  return {
    key,
    id: message.id,
    person,
    mine: person && speaker === meId,
    grouped,
    name,
    speaker: speaker || name,
    runId: metadata.runId,
    state,
    delivery: metadata.delivery === "sent" ? undefined : metadata.delivery,
    createdAt: typeof metadata.createdAt === "number" ? metadata.createdAt : undefined,
    notice,
    parts: partsOf(message, state, info),
  };
}

/** A run's state shows on its last message only. @param {Message} message @param {any} info @param {string[]} active */
function stateOf(message, info, active) {
  const ids = info?.messageIds ?? [];
  if (ids.length && ids[ids.length - 1] !== message.id) return "done";
  if (active.includes(message.metadata?.runId)) return "streaming";
  return ["stopped", "interrupted", "failed", "awaiting-approval"].includes(info?.status) ? info.status : "done";
}

/** @param {any} run @param {boolean} canChat @returns {Notice} */
function noticeOf(run, canChat) {
  const { status: kind } = run;
  /** @type {Record<string, string>} */
  const texts = {
    stopped: run.stoppedBy?.name ? `Stopped by ${run.stoppedBy.name}.` : "Stopped.",
    interrupted: "The server stopped while this was being written. What had arrived is kept.",
    failed: run.error || "The agent could not finish its answer.",
    silent: `${run.agentName || "The agent"} chose not to answer.`,
  };
  return { kind, text: texts[kind] ?? "The agent ended without an answer.", retry: canChat && ["stopped", "interrupted", "failed"].includes(kind) };
}

/** @param {Message} message @param {string} state @param {any} run @returns {Part[]} */
function partsOf({ parts }, state, run) {
  const results = new Map(parts.filter((part) => part.type === "tool-result").map((part) => [part.toolCallId, part]));
  const calls = new Set(parts.filter((part) => part.type === "tool-call").map((part) => part.id));
  return parts.flatMap((part) => {
    switch (part.type) {
      case "text":
        return part.content ? [{ kind: "text", raw: part.content }] : [];
      case "thinking":
        return [{ kind: "thinking", text: part.content ?? "" }];
      case "tool-call":
        return [toolOf(part, results.get(part.id), state, run)];
      case "tool-result":
        return calls.has(part.toolCallId) ? [] : [toolOf({ id: part.toolCallId }, part, state, run)];
      case "structured-output":
        return [{ kind: "structured", json: pretty(part.data ?? part.partial ?? part.raw) }];
      default:
        return [{ kind: "unsupported", label: `This message has a part that cannot be shown here (${part.type}).` }];
    }
  });
}

/** @param {any} part @param {any} result @param {string} messageState @param {any} run @returns {Part} */
function toolOf(part, result, messageState, run) {
  const asked = run?.interrupts?.find((/** @type {any} */ one) => one.toolCallId === part.id);
  const shown = result ? result.content : part.output;
  let state = messageState === "streaming" ? "running" : "unknown";
  if (part.state === "error" || result?.state === "error") state = "error";
  else if (result || part.state === "complete") state = "done";
  else if (asked || part.state === "approval-requested") state = "awaiting-approval";
  return {
    kind: "tool",
    id: part.id ?? "",
    name: part.name || "tool",
    summary: summary(part.arguments),
    arguments: pretty(part.arguments),
    state,
    result: shown === undefined || shown === null ? null : pretty(shown),
    approval: state === "awaiting-approval" ? { reason: asked?.reason ?? "", message: asked?.message ?? "" } : null,
  };
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

/** JSON with line breaks; text that is not JSON as it is. @param {unknown} value @returns {string} */
function pretty(value) {
  const read = parsed(value);
  return typeof read === "string" ? read : read == null ? "" : JSON.stringify(read, null, 2);
}

/** The arguments on one short line: `city: Berlin, days: 3`. @param {unknown} value */
function summary(value) {
  const read = parsed(value);
  /** @param {unknown} one */
  const short = (one) => (typeof one === "string" ? one : JSON.stringify(one));
  const pairs = read && typeof read === "object" && !Array.isArray(read);
  const line = pairs ? Object.entries(read).map(([key, one]) => `${key}: ${short(one)}`).join(", ") : read == null ? "" : short(read);
  const flat = line.trim().replace(/\s+/g, " ");
  return flat.length <= SUMMARY_LENGTH ? flat : flat.slice(0, SUMMARY_LENGTH - 1) + "…";
}

/** @param {unknown} value */
function parsed(value) {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
