/** Who is doing what: as a line on the page, and as announcements for those who cannot see it. */

import { byId } from "./dom.js";

/** @typedef {import("./rows.js").Chat} Chat */

const FAILED = " could not finish the answer";
/** @type {Record<string, string>} */
const ENDS = { failed: FAILED, interrupted: FAILED, stopped: " was stopped", "awaiting-approval": " is waiting for approval" };

export class Activity {
  #line = byId("activity");
  /** The runs that were under way, with the agent's name. @type {Map<string, string>} */
  #running = new Map();

  /** @param {Chat} chat */
  update({ messages, runs, activeRuns }) {
    const active = activeRuns.map((id) => runs[id]).filter(Boolean);
    for (const { runId, agentName } of active) {
      if (this.#running.has(runId)) continue;
      this.#running.set(runId, agentName || "The agent");
      announce(`${agentName} is answering`);
    }
    for (const [id, name] of this.#running) {
      if (activeRuns.includes(id)) continue;
      this.#running.delete(id);
      const end = ENDS[runs[id]?.status] ?? "’s answer is ready";
      announce(name + end, end === FAILED ? "assertive" : "polite");
    }
    const deeds = active.map(({ runId, agentName }) => {
      const part = messages.findLast(({ metadata }) => metadata?.runId === runId)?.parts.at(-1);
      const deed = part?.type === "tool-call" ? `using ${part.name}` : part?.content && part.type === "text" ? "writing" : "thinking";
      return `${agentName} is ${deed}…`;
    });
    if (messages.at(-1)?.metadata?.delivery === "sending") deeds.push("Sending…");
    const text = deeds.join(" · ");
    if (this.#line.textContent !== text) this.#line.textContent = text;
  }

  /** Who is answering now, in words, or "". */
  get summary() {
    return [...new Set(this.#running.values())].map((name) => `${name} is answering`).join(", ");
  }
}

/** @param {string} text @param {string} [level] */
function announce(text, level = "polite") {
  byId(`announce-${level}`).textContent = text;
}
