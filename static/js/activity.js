/** Who is doing what: as a line on the page, and as announcements for those who cannot see it. */

import { byId } from "./dom.js";

/** @typedef {import("./rows.js").Chat} Chat */

/** @param {any} run @param {Chat} chat */
function deed(run, { messages }) {
  const last = messages.findLast(({ metadata }) => metadata?.runId === run.runId);
  const part = last?.parts[last.parts.length - 1];
  if (part?.type === "tool-call") return `is using ${part.name}`;
  return part?.type === "text" && part.content ? "is writing" : "is thinking";
}

export class Activity {
  #line = byId("activity");
  /** The runs that were under way, with the agent's name. @type {Map<string, string>} */
  #running = new Map();
  /** @type {{[level: string]: string[]}} */
  #queued = { polite: [], assertive: [] };

  /** @param {Chat} chat */
  constructor(chat) {
    for (const id of chat.activeRuns) this.#running.set(id, nameOf(chat.runs[id]));
    this.#show(chat);
  }

  /** @param {Chat} chat */
  update(chat) {
    for (const id of chat.activeRuns) {
      if (this.#running.has(id)) continue;
      this.#running.set(id, nameOf(chat.runs[id]));
      this.#say("polite", `${nameOf(chat.runs[id])} is answering`);
    }
    for (const [id, name] of this.#running) {
      if (chat.activeRuns.includes(id)) continue;
      this.#running.delete(id);
      const status = chat.runs[id]?.status;
      if (status === "failed" || status === "interrupted") this.#say("assertive", `${name} could not finish the answer`);
      else if (status === "awaiting-approval") this.#say("polite", `${name} is waiting for approval`);
      else this.#say("polite", status === "stopped" ? `${name} was stopped` : `${name}’s answer is ready`);
    }
    this.#show(chat);
  }

  /** Who is answering now, in words, or "". */
  get summary() {
    const names = [...new Set(this.#running.values())];
    return names.length ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} answering` : "";
  }

  /** @param {Chat} chat */
  #show(chat) {
    const sending = chat.messages.some(({ metadata }) => metadata?.delivery === "sending");
    const deeds = chat.activeRuns.map((id) => chat.runs[id]).filter(Boolean).map((run) => `${nameOf(run)} ${deed(run, chat)}…`);
    const text = deeds.join(" · ") || (sending ? "Sending…" : "");
    if (this.#line.textContent !== text) this.#line.textContent = text;
  }

  /** One announcement at a time: a new one must not swallow the one before. @param {"polite" | "assertive"} level @param {string} text */
  #say(level, text) {
    const queue = this.#queued[level];
    queue.push(text);
    if (queue.length > 1) return;
    const speak = () => {
      byId(`announce-${level}`).textContent = queue[0];
      setTimeout(() => queue.shift() !== undefined && queue.length && speak(), 1000);
    };
    speak();
  }
}

/** @param {any} run */
const nameOf = (run) => run?.agentName || "The agent";
