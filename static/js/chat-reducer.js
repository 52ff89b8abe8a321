/**
 * Folds the events of a conversation into its messages: the machine of `webapp/chat/reducer/machine.py`, which explains
 * it, and it continues that one's snapshots. Total: arbitrary JSON never throws, unknown events are ignored.
 *
 * @typedef {import("./chat-reducer-parts.js").Obj} Obj
 * @typedef {import("./chat-reducer-parts.js").Part} Part
 * @typedef {import("./chat-reducer-parts.js").Message} Message
 * @typedef {import("./chat-reducer-parts.js").RunInfo} RunInfo
 * @typedef {{messages: Message[], activeRuns: string[], runs: Record<string, RunInfo>, roster: Record<string, boolean>, notes: Obj[], state: Obj, version: number}} Snapshot
 * @typedef {{messages: Set<string>, runs: Set<string>}} Touched   ids of what appeared, changed or went
 */

import { Lanes } from "./chat-reducer-lanes.js";
import { createNotes } from "./chat-reducer-notes.js";
import { createSignals } from "./chat-reducer-signals.js";
import * as parts from "./chat-reducer-parts.js";

const { find, isRecord, record, str, tanstack } = parts;

const VERSION = 2;

/** @returns {Touched} */
const untouched = () => ({ messages: new Set(), runs: new Set() });

/**
 * The conversation that `events` tell. `final`: no more will come, so settle what is open.
 * @param {Iterable<any>} events @param {{final?: boolean}} [options] @returns {Snapshot}
 */
export function materialize(events, { final = false } = {}) {
  const reducer = createReducer();
  for (const event of events) reducer.apply(event);
  if (final) reducer.finalize();
  return reducer.snapshot();
}

/**
 * A conversation in progress, empty or where the snapshot was taken. `messages` and `message()` give the living
 * objects: look, and do not keep. `snapshot()` copies.
 * @param {any} [given]
 */
export function createReducer(given) {
  const start = structuredClone(given ?? {});
  /** @type {Message[]} */
  let messages = start.messages ?? [];
  /** @type {Map<string, RunInfo>} */
  const runs = new Map(Object.entries(start.runs ?? {}));
  /** @type {Set<string>} */
  const active = new Set(start.activeRuns);
  const lanes = new Lanes(active, start.state?.lanes);
  /** @type {Set<string>} */
  const structured = new Set(start.state?.structured);
  const notes = createNotes(start);
  let made = start.state?.made ?? 0;
  /** What has been settled for everybody: the pinned version by group, the title. */
  const marks = { pins: /** @type {Record<string, string>} */ (start.state?.pins ?? {}), title: start.state?.title ?? "" };
  let touched = untouched();

  /** The one an event is about is nearly always among the last. @param {string} id */
  const message = (id) => messages.findLast((each) => each.id === id);

  /** The message, to change; it exists. @param {string} id */
  function write(id) {
    touched.messages.add(id);
    return /** @type {Message} */ (message(id));
  }

  /** @param {string} id @param {string} role */
  function create(id, role) {
    messages.push({ id, role, parts: [] });
    return write(id);
  }

  /** @param {string} id */
  const isAnswer = (id) => message(id)?.role === "assistant";

  function newId() {
    while (message(`auto~${++made}`));
    return `auto~${made}`;
  }

  /** Change a message's id everywhere, or drop the message. @param {string} old @param {string} [id] */
  function rename(old, id) {
    touched.messages.add(old);
    notes.standAfter(old, id ?? messages[messages.findIndex((each) => each.id === old) - 1]?.id ?? "");
    if (id) write(old).id = id;
    else messages = messages.filter((each) => each.id !== old);
    if (structured.delete(old) && id) structured.add(id);
    for (const info of runs.values()) {
      if (!info.messageIds.includes(old)) continue;
      info.messageIds = info.messageIds.flatMap((each) => (each === old ? id ?? [] : each));
      touched.runs.add(info.runId);
    }
    lanes.rename(old, id);
  }

  /** Where events of a run go: the answer they want, the current one, a new one. @param {string} run @param {any} [wanted] */
  function target(run, wanted) {
    const lane = lanes.of(run);
    let id = isAnswer(wanted) ? wanted : lane.current;
    if (!id) {
      id = lane.adopt = str(wanted) && !message(wanted) ? wanted : newId();
      Object.assign(create(id, "assistant"), parts.signature(runs.get(run)));
      join(run, id);
    }
    lanes.enter(lane, id);
    return id;
  }

  /** Nothing more will be written to the run's open messages. @param {string} run @param {string} [error] */
  function settle(run, error) {
    const lane = lanes.get(run);
    if (!lane) return;
    for (const id of lane.open) {
      const open = /** @type {Message} */ (message(id));
      for (const part of open.parts.filter(parts.awaitsArguments)) {
        write(id);
        parts.endArguments(part);
      }
      if (structured.delete(id)) {
        parts.readStructured(write(id));
        parts.failStructured(open, error || "Stream ended without structured-output.complete");
      }
    }
    // Some models end with a message of a single newline.
    const last = message(lane.open.at(-1) ?? "");
    if (last && !error && parts.isBlank(last)) {
      rename(last.id);
      lane.adopt = "";
    }
    lane.open = [];
  }

  /** No more events will come: settle whatever is open. Runs that have not ended stay active. */
  const finalize = () => lanes.forEach((_, run) => settle(run));

  /** @param {string} run @param {string} id */
  function join(run, id) {
    const info = runs.get(run);
    if (!info || info.messageIds.includes(id)) return;
    info.messageIds.push(id);
    touched.runs.add(run);
  }

  /** Add to what is known of an active run. @param {any} run @param {Obj} fields */
  function note(run, fields) {
    const info = active.has(run) && runs.get(run);
    if (!info) return;
    Object.assign(info, fields);
    touched.runs.add(run);
  }

  /** The run has ended and settled; with the last one everything has. @param {string} run */
  function leave(run) {
    active.delete(run);
    lanes.delete(run);
    if (active.size) return;
    finalize();
    lanes.clear();
  }

  /** @param {string} runId @param {Obj} event */
  function fail(runId, event) {
    const unknown = !active.has(runId);
    if (unknown && runs.has(runId)) return; // the first end counts
    const run = unknown && lanes.has("") ? "" : runId;
    const id = target(run);
    settle(run, parts.sentence(event.message));
    if (runId) {
      runs.set(runId, parts.failed(runs.get(runId), { ...event, runId }, id));
      touched.runs.add(runId);
    }
    leave(runId);
  }

  /** @param {string} runId @param {Obj[]} interrupts */
  function interrupt(runId, interrupts) {
    note(runId, { interrupts });
    for (const { id, toolCallId, reason, metadata } of interrupts) {
      const kind = str(record(metadata).kind);
      if (kind && kind !== "approval") continue;
      if (reason !== "client_tool_input") withCall({ toolCallId, runId }, parts.requestApproval, str(id));
    }
  }

  /** @param {string} run @param {string} id */
  function startAnswer(run, id) {
    const lane = lanes.of(run);
    const { adopt } = lane;
    lane.adopt = "";
    if (!message(id)) adopt ? rename(adopt, id) : create(id, "assistant");
    if (!isAnswer(id)) return;
    lanes.enter(lane, id);
    join(run, id);
  }

  /** The message with a tool call, the run's own if possible. @param {any} call @param {any} [run] */
  function caller(call, run) {
    if (!str(call)) return;
    return (
      lanes.get(run)?.open.findLast((id) => parts.hasCall(message(id), call)) ?? messages.findLast((each) => parts.hasCall(each, call))?.id
    );
  }

  /** @param {Obj} event @param {(part: Part, argument?: any) => void} change @param {any} [argument] */
  function withCall({ toolCallId, runId }, change, argument) {
    const id = caller(toolCallId, runId);
    if (id) change(/** @type {Part} */ (find(write(id), "tool-call", "id", toolCallId)), argument);
  }

  /** @param {Obj} event @param {any} step @param {any} delta @param {string} [signature] */
  function think(event, step, delta, signature) {
    const run = lanes.owner(event);
    parts.think(write(target(run)), lanes.of(run).step || str(step), str(delta), signature);
  }

  /** @type {Record<string, (event: Obj) => unknown>} */
  const handlers = {
    RUN_STARTED(event) {
      const { runId } = event;
      if (!str(runId) || active.has(runId)) return;
      const info = parts.begun(event);
      for (const old of [...runs.values()].filter((each) => parts.supersedes(info, each))) {
        old.supersededBy = runId;
        touched.runs.add(old.runId);
      }
      if (info.continues) {
        const before = runs.get(info.continues);
        info.first = before?.first ?? info.continues;
        if (before) before.continuedBy = runId;
        touched.runs.add(info.continues);
      }
      runs.delete(runId);
      runs.set(runId, info);
      active.add(runId);
      touched.runs.add(runId);
    },

    RUN_FINISHED(event) {
      const runId = str(event.runId);
      const { type, interrupts } = record(event.outcome);
      if (type === "interrupt") interrupt(runId, Array.isArray(interrupts) ? interrupts.filter(isRecord) : []);
      settle(runId);
      const status = parts.endOf(runs.get(runId), type);
      note(runId, { status });
      if (active.has(runId) && !status) runs.delete(runId);
      leave(runId);
    },

    RUN_ERROR(event) {
      const run = str(event.runId);
      for (const each of run ? [run] : active.size ? [...active] : [""]) fail(each, event);
    },

    TEXT_MESSAGE_START(event) {
      const { messageId: id, role, name, metadata } = event;
      if (!str(id)) return;
      const answer = role !== "user" && role !== "system";
      if (answer) startAnswer(lanes.owner(event), id);
      else if (!message(id)) create(id, role);
      const started = write(id);
      if (started.role !== (answer ? "assistant" : role)) return; // nobody signs what another has said
      if (str(name)) started.name = name;
      parts.mergeMetadata(started, metadata);
    },

    TEXT_MESSAGE_CONTENT(event) {
      let { messageId: id, delta, metadata } = event;
      if (!message(id) || isAnswer(id)) id = target(lanes.owner(event), id);
      parts.mergeMetadata(write(id), metadata);
      if (str(delta)) (structured.has(id) ? parts.appendStructured : parts.appendText)(write(id), delta);
    },

    TEXT_MESSAGE_END: ({ messageId: id, metadata }) => message(id) && parts.mergeMetadata(write(id), metadata),

    STEP_STARTED: (event) => (lanes.of(lanes.owner(event)).step = str(event.stepName)),

    REASONING_MESSAGE_CONTENT: (event) => think(event, event.messageId, event.delta),

    REASONING_ENCRYPTED_VALUE(event) {
      const { encryptedValue: thoughtSignature, entityId: toolCallId, subtype, runId } = event;
      if (!str(thoughtSignature)) return;
      if (subtype !== "tool-call") think(event, toolCallId, "", thoughtSignature);
      else withCall({ toolCallId, runId }, (part) => (part.metadata = { ...record(part.metadata), thoughtSignature }));
    },

    TOOL_CALL_START(event) {
      const { toolCallId, toolCallName, parentMessageId, metadata } = event;
      if (!str(toolCallId)) return;
      const caller = write(target(lanes.owner(event), parentMessageId));
      if (!find(caller, "tool-call", "id", toolCallId)) parts.callTool(caller, toolCallId, str(toolCallName), metadata);
    },

    TOOL_CALL_ARGS: (event) => withCall(event, parts.addArguments, str(event.delta)),

    TOOL_CALL_END(event) {
      withCall(event, parts.endArguments, event.input ?? tanstack(event).input);
      withCall(event, (part) => parts.time(part, "calledAt", event));
    },

    TOOL_CALL_RESULT(event) {
      const { toolCallId, runId, content, state } = event;
      const id = caller(toolCallId, runId);
      const failed = [state, tanstack(event).state].includes("output-error");
      if (!id) return;
      parts.giveResult(write(id), toolCallId, content ?? "", failed);
      withCall(event, (part) => parts.time(part, "endedAt", event));
    },

    MESSAGES_SNAPSHOT(event) {
      if (!Array.isArray(event.messages)) return;
      const before = messages;
      messages = parts.readHistory(event.messages, before, newId);
      for (const { id } of [...before, ...messages]) touched.messages.add(id);
      lanes.clear();
      structured.clear();
    },

    CUSTOM(event) {
      const { name, value } = event;
      if (!isRecord(value)) return;
      if (Object.hasOwn(signals, str(name))) signals[name](value, event);
      else notes.hear(name, value, messages.at(-1)?.id ?? "");
    },
  };

  /** @type {Record<string, (value: Obj, event: Obj) => unknown>} */
  const signals = {
    ...createSignals({ message, all: () => messages, write, rename, runs, note, marks, told: (run) => touched.runs.add(run) }),

    "structured-output.start": ({ messageId }, event) => structured.add(target(lanes.owner(event), messageId)),

    "structured-output.complete"(value, event) {
      const id = target(lanes.owner(event), value.messageId);
      structured.delete(id);
      parts.completeStructured(write(id), value);
    },

    "approval-requested": ({ toolCallId, approval }, { runId }) =>
      withCall({ toolCallId, runId }, parts.requestApproval, str(record(approval).id)),

    "ui-resource"({ resource, toolCallId, toolName, serverId, meta }, event) {
      const id = caller(toolCallId) ?? lanes.get(lanes.owner(event))?.current;
      const given = Object.entries({ resource, toolCallId, toolName, serverId, meta });
      const part = Object.fromEntries(given.filter(([, value]) => value !== undefined));
      if (id) write(id).parts.push({ type: "ui-resource", ...part });
    },
  };

  return {
    /**
     * Take in one event. What it touched is added to `into`, so that a batch can share one.
     * @param {any} event @param {Touched} [into] @returns {Touched}
     */
    apply(event, into = untouched()) {
      touched = into;
      if (isRecord(event) && Object.hasOwn(handlers, str(event.type))) handlers[event.type](event);
      return touched;
    },

    finalize,

    get messages() {
      for (const id of structured) parts.readStructured(/** @type {Message} */ (message(id)));
      return messages;
    },

    get activeRuns() {
      return [...active];
    },

    get runs() {
      return Object.fromEntries(runs);
    },

    message,
    notes,

    marks,

    /** @returns {Snapshot} */
    snapshot() {
      const state = { lanes: Object.fromEntries(lanes), structured: [...structured], made, ...marks };
      const { messages, activeRuns, runs } = this;
      return structuredClone({ messages, activeRuns, runs, ...notes.snapshot(), state, version: VERSION });
    },
  };
}
