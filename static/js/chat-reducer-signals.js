/**
 * What our own signals do to a conversation: `webapp/chat/reducer/signals.py`. They name what they are about, a message,
 * a run or the whole chat, so they need not know whose turn it is to write.
 */

import * as parts from "./chat-reducer-parts.js";

const { find, isRecord, record, str } = parts;

/** @typedef {import("./chat-reducer-parts.js").Obj} Obj */
/** @typedef {import("./chat-reducer-parts.js").Message} Message */
/** @typedef {import("./chat-reducer-parts.js").RunInfo} RunInfo */

const MEDIA = ["image", "audio", "video", "document"];

/**
 * @param {object} reducer
 * @param {(id: any) => Message | undefined} reducer.message
 * @param {() => Message[]} reducer.all
 * @param {(id: string) => Message} reducer.write     the message, to change
 * @param {(id: string) => void} reducer.rename       takes the message out
 * @param {Map<string, RunInfo>} reducer.runs
 * @param {(run: any, fields: Obj) => void} reducer.note   adds to what is known of an active run
 * @param {{pins: Record<string, string>, title: string}} reducer.marks
 * @param {(run: string) => void} reducer.told        the run has changed
 * @returns {Record<string, (value: Obj) => unknown>}
 */
export function createSignals({ message, all, write, rename, runs, note, marks, told }) {
  return {
    "run.stopped-by": ({ runId, participantId, name }) =>
      note(runId, { stoppedBy: { participantId: str(participantId), name: str(name) } }),

    "branch.pinned"({ group, version }) {
      if (str(group) && str(version)) marks.pins[group] = version;
    },

    "chat.renamed": ({ title }) => (marks.title = str(title) || marks.title),

    "message.part"({ messageId: id, part }) {
      if (message(id) && isRecord(part) && MEDIA.includes(part.type)) write(id).parts.push(/** @type {any} */ (part));
    },

    "message.edited"({ messageId: id, text }) {
      if (str(text) && parts.waits(message(id), all(), runs)) parts.replaceText(write(id), text);
    },

    "message.dropped"({ messageId: id }) {
      const dropped = message(id);
      if (!parts.waits(dropped, all(), runs)) return;
      const parentId = record(dropped?.metadata).parentId ?? null;
      for (const each of parts.following(id, all())) parts.mergeMetadata(write(each.id), { parentId });
      rename(id);
    },

    "approval.decided"(value) {
      const run = runs.get(str(value.runId));
      const decision = run && parts.decisionOf(run, value);
      if (!decision) return;
      run.decisions = [...(run.decisions ?? []), decision];
      told(run.runId);
      const call = str(value.toolCallId);
      const id = run.messageIds.findLast((each) => parts.hasCall(message(each), call));
      const part = id && find(write(id), "tool-call", "id", call);
      if (part && record(part.approval).id === decision.interruptId) parts.decide(part, decision.approved);
    },
  };
}
