/**
 * From messages and runs to the rows of the transcript: the twin of `webapp/web/rows.py` for what is on its way.
 * Whatever is finished the server renders, so tools and data are only named here.
 *
 * @typedef {import("../types.js").Message} Message
 * @typedef {{messages: Message[], runs: Record<string, any>, activeRuns: string[], notes?: any[]}} Talk
 * @typedef {Talk & {branches: import("../branches.js").Branches, pins: Record<string, string>}} Chat
 *   `messages`: those on the reader's path
 * @typedef {{meId: string, myName?: string, canChat: boolean, hues?: Record<string, number>, names?: string[]}} Reader
 *   `hues`: of agents, by id; `names`: whom one may mention
 * @typedef {{key: string, message?: Message, run?: any, note?: any, grouped: boolean, place?: string}} Slot
 *   `key`: a message's id, a note's, or `run:…`; `place`: its place among the branches, in a word
 * @typedef {{kind: "text" | "thinking" | "data" | "tool" | "tools", text: string, id?: string, state?: string, card?: boolean, tools?: Part[]}} Part
 * @typedef {{kind: string, text: string, retry: boolean, goOn?: boolean}} Notice
 * @typedef {{group: string, position: number, count: number, previous?: string, next?: string, version: string, pinned: boolean}} Versions
 *
 * @typedef {object} Row
 * @property {string} [id]           none: a run that wrote nothing
 * @property {boolean} [person]
 * @property {boolean} [mine]
 * @property {boolean} [guest]        somebody else, who has told no name yet
 * @property {boolean} grouped
 * @property {string} [place]
 * @property {string} name
 * @property {number} colour          of the speaker
 * @property {string} [runId]
 * @property {string} state
 * @property {string} [delivery]     of my own message, until it is part of the stream
 * @property {number} [createdAt]
 * @property {Notice} [notice]
 * @property {Versions} [versions]
 * @property {boolean} [canEdit]
 * @property {boolean} [canRegenerate]
 * @property {any} [note]            a line of its own, which is nobody's
 * @property {Part[]} parts
 */

const HUES = 24;
const GROUP_WITHIN = 5 * 60_000;
const ENDINGS = ["stopped", "interrupted", "failed"];

/**
 * Which rows there are, cheaply: not yet what is in them.
 * @param {Chat} chat
 */
export function slots({ messages, runs, activeRuns, branches, pins, notes = [] }) {
  const mute = Object.values(runs).filter((run) => !run.messageIds?.length && !activeRuns.includes(run.runId));
  /** @type {Slot[]} */
  const found = [];
  const addNotes = (/** @type {string} */ id) => {
    for (const note of notes) if (note.after === id) found.push({ key: note.id, note, grouped: false });
  };
  addNotes("");
  for (const message of messages) {
    const before = found.at(-1)?.message;
    const grouped = before !== undefined && sameSpeaker(before, message);
    found.push({ key: message.id, message, grouped, place: placeOf(message.id, branches, pins) });
    for (const run of mute) {
      if (run.triggerId === message.id) found.push({ key: `run:${run.runId}`, run, grouped: false });
    }
    addNotes(message.id);
  }
  return found;
}

/** The key of the slot that a row was made for. @param {Element | null | undefined} row @returns {string} */
export function keyOf(row) {
  const { messageId, noteId, runId } = /** @type {HTMLElement | undefined} */ (row)?.dataset ?? {};
  return messageId ?? noteId ?? (runId ? `run:${runId}` : "");
}

/** What a row shows of the branches, to tell when that has changed. @param {string} id @param {Chat["branches"]} branches @param {Chat["pins"]} pins */
function placeOf(id, branches, pins) {
  const { group = "" } = branches.placement(id) ?? {};
  return [branches.lastOf(id) === id, branches.versions(group), pins[group]].join();
}

/**
 * @param {Slot} slot
 * @param {Chat} chat
 * @param {Reader} reader
 * @returns {Row}
 */
export function rowOf({ message, run, note, grouped, place }, chat, { meId, canChat, hues }) {
  const { runs, activeRuns, branches, pins } = chat;
  if (note) return { grouped, note, name: "", colour: 0, state: "", parts: [] };
  if (!message) {
    const name = run.agentName || "Agent";
    return { grouped, name, colour: agentHue(run.agentId || name, hues), runId: run.runId, state: run.status, notice: noticeOf(run, canChat), parts: [] };
  }
  const { id, metadata = {}, parts } = message;
  const { runId, createdAt, delivery, error } = metadata;
  const person = message.role === "user";
  const speaker = speakerOf(message);
  const name = message.name || (person ? "Guest" : "Agent");
  const state = person ? "done" : stateOf(id, runs[runId], activeRuns.includes(runId));
  let notice = ENDINGS.includes(state) ? noticeOf(runs[runId], canChat) : undefined;
  if (delivery === "failed") notice = { kind: "unsent", text: error || "This was not sent.", retry: false };
  const mine = person && speaker === meId;
  const last = branches.lastOf(id) === id;
  const colour = person ? personHue(metadata, speaker || name) : agentHue(speaker || name, hues);
  return {
    id, person, mine, guest: person && !mine && metadata.guest === true, grouped, place, name, colour, runId, state, delivery, createdAt, notice,
    parts: partsOf(parts, id, chat, runs[runId]),
    versions: last ? versionsOf(branches, id, pins) : undefined,
    canEdit: mine && canChat && !delivery,
    canRegenerate: last && !person && canChat && branches.placement(id)?.version !== id && state === "done",
  };
}

/** @param {import("../branches.js").Branches} branches @param {string} id @param {Record<string, string>} pins @returns {Versions | undefined} */
function versionsOf(branches, id, pins) {
  const { group = "", version = "" } = branches.placement(id) ?? {};
  const versions = branches.versions(group);
  const at = versions.indexOf(version);
  if (versions.length < 2) return undefined;
  return { group, position: at + 1, count: versions.length, previous: versions[at - 1], next: versions[at + 1], version, pinned: pins[group] === version };
}

/** A run's state shows on its last message only. @param {string} id @param {any} run @param {boolean} active */
function stateOf(id, run, active) {
  if ((run?.messageIds?.at(-1) ?? id) !== id) return "done";
  if (active) return "streaming";
  return [...ENDINGS, !run?.supersededBy && "awaiting-approval"].includes(run?.status) ? run.status : "done";
}

/** @param {any} run @param {boolean} canChat @returns {Notice} */
function noticeOf({ status: kind, stoppedBy, error, agentName, supersededBy, messageIds }, canChat) {
  const texts = new Map([
    ["stopped", stoppedBy?.name ? `Stopped by ${stoppedBy.name}.` : "Stopped."],
    ["interrupted", "The server stopped while this was being written. What had arrived is kept."],
    ["failed", error || "The agent could not finish its answer."],
    ["silent", `${agentName || "The agent"} chose not to answer.`],
  ]);
  const retry = canChat && !supersededBy && ENDINGS.includes(kind);
  return { kind, text: texts.get(kind) ?? "The agent ended without an answer.", retry, goOn: retry && messageIds.length > 0 };
}

/** @param {any[]} parts @param {string} messageId @param {Chat} chat @param {any} run the message's @returns {Part[]} */
function partsOf(parts, messageId, chat, run = {}) {
  const results = new Map(parts.filter(({ type }) => type === "tool-result").map((part) => [part.toolCallId, part]));
  const asked = questionsOf(run);
  const found = parts.flatMap((part) => {
    const { type, content, id, name, raw } = part;
    if (type === "text") return content ? { kind: type, text: content } : [];
    if (type === "thinking") return { kind: type, text: content ?? "" };
    if (type === "tool-result") return [];
    if (type !== "tool-call") return { kind: "data", text: raw ?? type };
    const about = run.interrupts?.find((/** @type {any} */ { toolCallId }) => toolCallId === id);
    const card = about ? asked.includes(about) : !!part.approval;
    return { kind: "tool", id, text: name || "tool", card, state: toolState([part.state, results.get(id)?.state], chat, run, about) };
  });
  if (run.messageIds?.at(-1) === messageId) {
    for (const { id, reason, toolCallId } of asked) {
      if (!toolCallId) found.push({ kind: "tool", id, text: reason || "question", card: true, state: "waiting" });
    }
  }
  return /** @type {Part[]} */ (fold(found));
}

/** Tools in a row become one part, except those that ask for a decision. @param {any[]} parts */
function fold(parts) {
  /** @type {Part[][]} */
  const groups = [];
  for (const part of parts) {
    const last = groups.at(-1);
    if (last && isLine(last[0]) && isLine(part)) last.push(part);
    else groups.push([part]);
  }
  return groups.map((tools) => {
    if (!tools[1]) return tools[0];
    const states = tools.map(({ state }) => state);
    const told = ["failed", "unknown"].flatMap((bad) => (states.includes(bad) ? `${states.filter((each) => each === bad).length} ${bad}` : []));
    return { kind: "tools", tools, text: [`${states.includes("running") ? "Using" : "Used"} ${tools.length} tools`, ...told].join(" · ") };
  });
}

/** @param {Part} part */
const isLine = ({ kind, card }) => kind === "tool" && !card;

/** @param {string[]} states of the call and of its result @param {Chat} chat @param {any} run @param {any} about its interrupt */
function toolState(states, { runs, activeRuns }, run, about) {
  const fate = (/** @type {string} */ id) => {
    if (activeRuns.includes(id)) return "running";
    const { code, status } = runs[id] ?? {};
    return code === "approval-void" ? "void" : ENDINGS.includes(status) ? "unknown" : "unanswered";
  };
  if (about && decisionOn(run, about)?.approved === false) return "denied";
  if (states.includes("error")) return "failed";
  if (states.includes("complete")) return "done";
  if (about && run.continuedBy) return fate(run.continuedBy);
  if (about || states.includes("approval-requested")) return run.supersededBy ? "unanswered" : "waiting";
  return fate(run.runId);
}

const CLIENT_TOOLS = ["client_tool_input", "tanstack:client_tool_execution"];

/** What a run asks people. @param {any} run @returns {any[]} */
const questionsOf = ({ interrupts = [] }) =>
  interrupts.filter((/** @type {any} */ { reason, metadata }) => !CLIENT_TOOLS.includes(reason) && metadata?.kind !== "client_tool");

/** @param {any} run @param {any} question */
const decisionOn = ({ decisions = [] }, { id }) => decisions.find((/** @type {any} */ { interruptId }) => interruptId === id);

/** Whether a run waits for what people answer. @param {any} run */
export const awaitsPeople = (run) => run.status === "awaiting-approval" && !run.supersededBy && questionsOf(run).some((each) => !decisionOn(run, each));

/** The ids of the cards that wait for a decision, without those on other branches. @param {Pick<Chat, "runs" | "branches" | "messages">} chat @returns {string[]} */
export const pendingIn = ({ runs, branches, messages }) =>
  Object.values(runs)
    .filter(awaitsPeople)
    .filter(({ messageIds = [] }) => !messageIds.some((/** @type {string} */ id) => branches.placement(id) && !messages.some((each) => each.id === id)))
    .flatMap((run) =>
      questionsOf(run)
        .filter((each) => !decisionOn(run, each))
        .map((each) => `ask-${run.runId}-${run.interrupts.indexOf(each)}`),
    );

/** @param {Message} before @param {Message} message */
function sameSpeaker(before, message) {
  const [first, second] = [before.metadata ?? {}, message.metadata ?? {}];
  const one = before.role === message.role && before.name === message.name && speakerOf(before) === speakerOf(message) && first.runId === second.runId;
  return one && second.createdAt - first.createdAt < GROUP_WITHIN;
}

/** @param {Message} message @returns {string} */
function speakerOf({ role, metadata }) {
  return metadata?.[role === "user" ? "participantId" : "agentId"] ?? "";
}

/** The words of a note. @param {any} note */
export function noteText({ kind, name, by, agents = [], turns }) {
  if (kind === "agent.joined") return `${by || "Somebody"} let ${name || "an agent"} in`;
  if (kind === "agent.left") return `${by || "Somebody"} sent ${name || "an agent"} away`;
  const names = [agents.slice(0, -1).join(", "), agents.at(-1)].filter(Boolean).join(" and ");
  return (agents.length > 1 ? `${names} have talked ${turns} times. ` : "") + "Waiting for a person.";
}

/** @param {string} agentId @param {Record<string, number>} [hues] the server's choice, if it made one */
export const agentHue = (agentId, hues = {}) => hues[agentId] ?? hue(agentId);

/** The colour they chose, or the one their id gives. @param {Record<string, any>} metadata of their message @param {string} speaker */
export const personHue = ({ hue: chosen }, speaker) => (Number.isInteger(chosen) && chosen >= 0 && chosen < HUES ? chosen : hue(speaker));

/** Up to two letters, such as AO for Amber Otter. @param {string} name */
export const initials = (name) => name.trim().split(/\s+/, 2).map(([first = ""]) => first).join("").toUpperCase() || "?";

/**
 * The colour of a participant or agent: which of the classes `hue-0` … `hue-23` it wears.
 * FNV-1a, 32 bits, of the UTF-8 bytes; `webapp/chat/messages.py` gives the same.
 * @param {string} identity
 */
export function hue(identity) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(identity)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value % HUES;
}
