/**
 * What has happened in a conversation beside what was said, and who is in it: `webapp/chat/reducer/notes.py`, which
 * says more.
 */

import { str } from "./chat-reducer-parts.js";

/** @typedef {import("./chat-reducer-parts.js").Obj} Obj */

const WAITING = "chat.waiting-for-person";

/** @param {Obj} start a snapshot */
export function createNotes({ notes = [], roster = {} }) {
  /** @type {Obj[]} */
  const list = notes;
  /** @type {Map<string, boolean>} */
  const here = new Map(Object.entries(roster));

  /** @param {string} kind @param {string} after @param {Obj} fields */
  function add(kind, after, fields) {
    // Counted on from the last: a page may have been given the latest only.
    const number = Number(str(list.at(-1)?.id).slice(5)) + 1;
    list.push({ id: `note~${number}`, kind, after, ...fields });
  }

  return {
    list,

    snapshot: () => ({ roster: Object.fromEntries(here), notes: list }),

    /** A signal, behind the message `after`. Those of others are ignored. @param {any} kind @param {Obj} value @param {string} after */
    hear(kind, { agentId, name, by, messageId, agents, turns }, after) {
      if (kind === "agent.joined" || kind === "agent.left") {
        const present = kind === "agent.joined";
        if (!str(agentId) || here.get(agentId) === present) return;
        here.set(agentId, present);
        add(kind, after, { agentId, name: str(name), by: str(by) });
      } else if (kind === WAITING && !list.some((each) => each.kind === kind && each.messageId === str(messageId))) {
        const names = Array.isArray(agents) ? agents.filter((each) => typeof each === "string") : [];
        add(kind, after, { messageId: str(messageId), agents: names, turns: typeof turns === "number" ? turns : 0 });
      }
    },

    /** What stood after `old` stands after `id`. @param {string} old @param {string} id */
    standAfter(old, id) {
      for (const note of list) if (note.after === old) note.after = id;
    },
  };
}
