/**
 * What the page says beside the conversation: who is doing what, as a line and as announcements for those who cannot
 * see it, and what is wrong with the connection, only if it lasts. Knows statuses and runs, not where they come from.
 */

import { byId, h, morph } from "./dom.js";
import { agentHue, awaitsPeople, noteText } from "./rows.js";

/** @typedef {import("./rows.js").Chat} Chat */
/** @typedef {import("./rows.js").Reader} Reader */
/** @typedef {import("../types.js").ConnectionStatus} ConnectionStatus */

const PATIENCE = 1000;
const GOOD_NEWS = 2000;
const BAD_NEWS = 6000;
const BREATH = 1000;
const AGENT = "The agent";
const ENDED = "Your access to this chat has ended.";
/** @type {Record<string, string>} */
const GONE = { "not-found": ENDED, deleted: "This chat was deleted." };
const FAILED = " could not finish the answer";
/** @type {Record<string, string>} */
const ENDS = { failed: FAILED, interrupted: FAILED, stopped: " was stopped", "awaiting-approval": " is waiting for approval" };

export class Activity {
  #line = byId("activity");
  /** The runs that were under way, with the agent's name. @type {Map<string, string>} */
  #running = new Map();
  #reader;
  #typing = "";
  /** What was told last. @type {import("./rows.js").Talk & {connectionStatus: ConnectionStatus} | undefined} */
  #chat;
  /** How many notes have been told. @type {number | undefined} */
  #notes;

  /** @param {Reader} reader who chats may stop each run, if there are several */
  constructor(reader) {
    this.#reader = reader;
  }

  /** Who else is writing, in words. */
  set typing(/** @type {string} */ words) {
    if (words === this.#typing) return;
    this.#typing = words;
    if (this.#chat) this.update(this.#chat);
  }

  /** @param {import("./rows.js").Talk & {connectionStatus: ConnectionStatus}} chat */
  update(chat) {
    this.#chat = chat;
    const { messages, runs, activeRuns, notes = [], connectionStatus: { state } } = chat;
    if (notes.length > (this.#notes ?? notes.length)) announce(noteText(notes.at(-1)));
    this.#notes = notes.length;
    const active = activeRuns.map((id) => runs[id]).filter(Boolean);
    for (const { runId, agentName = AGENT } of active) {
      if (this.#running.has(runId)) continue;
      this.#running.set(runId, agentName);
      announce(`${agentName} is answering`);
    }
    for (const [id, name] of this.#running) {
      if (activeRuns.includes(id)) continue;
      this.#running.delete(id);
      const end = ENDS[runs[id]?.status] ?? "’s answer is ready";
      announce(name + end, end === FAILED ? "assertive" : "polite");
    }
    const several = active.length > 1 && this.#reader.canChat;
    // One line an agent, however much it waits for.
    const waiting = new Map(Object.values(runs).filter(awaitsPeople).map((run) => [run.agentName, run]));
    const deeds = [...active, ...waiting.values()].map(({ runId, agentName = AGENT, agentId, status }) => {
      const part = messages.findLast(({ metadata }) => metadata?.runId === runId)?.parts.at(-1);
      const deed = status === "awaiting-approval" ? "waiting for approval" : part?.type === "tool-call" ? `using ${part.name}` : part?.content && part.type === "text" ? "writing" : "thinking";
      const stop = { type: "button", class: "text-button", "data-action": "stop-run", value: runId, "aria-label": `Stop ${agentName}` };
      const hue = agentHue(agentId || agentName, this.#reader.hues);
      return h("span", { class: `doing hue-${hue}` }, `${agentName} is ${deed}…`, ...(several && activeRuns.includes(runId) ? [h("button", stop, "Stop")] : []));
    });
    const unsent = messages.filter(({ metadata }) => metadata?.delivery === "sending").length;
    const cut = state === "offline" || state === "reconnecting";
    if (unsent) deeds.push(h("span", {}, cut ? `${unsent} queued, will send when online` : "Sending…"));
    if (this.#typing) deeds.push(h("span", { class: "typing" }, this.#typing));
    const line = /** @type {HTMLElement} */ (this.#line.cloneNode());
    line.append(...deeds);
    morph(this.#line, line);
  }

  /** Who is answering now, in words, or "". */
  get summary() {
    return [...new Set(this.#running.values())].map((name) => `${name} is answering`).join(", ");
  }
}

export class ConnectionBar {
  #element;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {ConnectionStatus} status */
  update(status) {
    clearTimeout(this.#timer);
    const { state, code, error, caughtUp = 0 } = status;
    const wait = status.since + PATIENCE - Date.now();
    if (state === "live") this.#recovered(caughtUp);
    else if (state === "gone") this.#end((code && GONE[code]) ?? error ?? ENDED);
    else if (state === "closed") this.#element.hidden = true;
    else if (wait > 0) this.#timer = setTimeout(() => this.update(status), wait);
    else if (state === "offline") this.#show(state, "Offline — messages will be sent when you are back");
    else this.#count(status.retryAt ?? 0);
  }

  /** Something else that failed, and has no other place. @param {string} text */
  say(text) {
    if (this.#element.dataset.kind === "gone") return;
    this.#show("offline", text);
    this.#timer = setTimeout(() => (this.#element.hidden = true), BAD_NEWS);
  }

  /** @param {string} text */
  #end(text) {
    this.#show("gone", text);
    announce(text, "assertive");
  }

  /** @param {number} retryAt */
  #count(retryAt) {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    this.#show("trouble", seconds > 0 ? `Reconnecting… (${seconds} s)` : "Reconnecting…", seconds > 0);
    this.#timer = setTimeout(() => this.#count(retryAt), 500);
  }

  /** @param {number} events */
  #recovered(events) {
    if (this.#element.hidden) return;
    this.#show("caught-up", events ? `Caught up, ${events} event${events > 1 ? "s" : ""}` : "Connected again");
    this.#timer = setTimeout(() => (this.#element.hidden = true), GOOD_NEWS);
  }

  /** @param {string} kind @param {string} text @param {boolean} [retry] */
  #show(kind, text, retry = false) {
    clearTimeout(this.#timer);
    const [, words, button, home] = /** @type {Iterable<HTMLElement>} */ (this.#element.children);
    this.#element.dataset.kind = kind;
    words.textContent = text;
    button.hidden = !retry;
    home.hidden = kind !== "gone";
    this.#element.hidden = false;
  }
}

/** What is still to be said, by urgency. @type {Record<string, string[]>} */
const unsaid = { polite: [], assertive: [] };
/** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */
const speaking = {};

/** Says something to those who cannot see it: one thing after the other, and what comes meanwhile in one breath. @param {string} text @param {string} [level] */
export function announce(text, level = "polite") {
  if (!unsaid[level].includes(text)) unsaid[level].push(text);
  if (!speaking[level]) speak(level);
}

/** @param {string} level */
function speak(level) {
  const element = byId(`announce-${level}`);
  const text = unsaid[level].splice(0).join(". ");
  // The same once more is only heard if it is not the same.
  element.textContent = element.textContent === text ? `${text}\u00a0` : text;
  speaking[level] = setTimeout(() => {
    speaking[level] = undefined;
    if (unsaid[level].length) speak(level);
  }, BREATH);
}
