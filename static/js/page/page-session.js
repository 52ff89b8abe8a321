/**
 * A chat session as the page has it: with the branches of the conversation, of which its reader sees one path.
 * Owns what this reader has chosen, and what can be asked of a message: another version of it, another answer, more of
 * an answer. Knows nothing of the page's elements.
 *
 * Events besides ChatSession's:
 *   outdated   the tree has changed above what the page has: only the server can show it
 */

import { Branches, inEffect } from "../branches.js";
import { ChatSession } from "../chat-session.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {Record<string, {version: string, pin?: string | null}>} Chosen */
/** @typedef {{outline: Message[], choices: Chosen, urls: Record<string, string>}} PageOptions */

export class PageSession extends ChatSession {
  #outline;
  #chosen;
  #urls;
  #chatId;
  /** Ids of messages that were seen before, or written here. @type {Set<string>} */
  #seen;
  #meId;
  /** @type {import("./rows.js").Chat | undefined} */
  #view;

  /** @param {import("../types.js").ChatSessionOptions & PageOptions} options */
  constructor({ outline, choices, urls, ...options }) {
    super({ ...options, stopUrl: urls.stop });
    this.#outline = outline;
    this.#chosen = choices;
    this.#urls = urls;
    this.#chatId = options.chatId;
    this.#meId = options.me.id;
    this.#seen = new Set(this.messages.map(({ id }) => id));
    this.addEventListener("change", (event) => this.#changed(/** @type {CustomEvent} */ (event).detail.messages));
  }

  /** What the reader sees: the messages on their path, and what the rows are made of besides. @returns {import("./rows.js").Chat} */
  get view() {
    if (!this.#view) {
      const branches = new Branches([...this.#outline, ...this.messages]);
      const above = new Set(this.#outline.map(({ id }) => id));
      const messages = branches.path(this.#choices).filter(({ id }) => !above.has(id));
      this.#view = { messages, runs: this.runs, activeRuns: this.activeRuns, branches, pins: this.pins, notes: this.notes };
    }
    return this.#view;
  }

  /** Says something where the reader is. @param {string} text @param {string} [editOf] the message it is a version of */
  write(text, editOf) {
    const { branches } = this.view;
    if (editOf) delete this.#chosen[branches.placement(editOf)?.group ?? ""];
    const parentId = editOf ? branches.placement(editOf)?.parent : branches.tip(this.#choices);
    this.#view = undefined;
    return this.say(text, undefined, { parentId, editOf });
  }

  /** Asks for another answer in place of the one `messageId` belongs to. @param {string} messageId */
  regenerate(messageId) {
    const { parentId, agentId } = this.messages.find(({ id }) => id === messageId)?.metadata ?? {};
    delete this.#chosen[`${parentId}/${agentId}`];
    this.#view = undefined;
    return this.answerAgain(parentId, agentId);
  }

  /** An answer that broke off goes on. @param {string} runId */
  goOn(runId) {
    return this.request("POST", this.#urls.continue, { id: this.#chatId, runId });
  }

  /**
   * Looks at another version; with `pin` everybody does.
   * @param {string} group @param {string} version @param {boolean} [pin] @returns {Promise<boolean>} whether it is on the page
   */
  async choose(group, version, pin = false) {
    if (!pin) this.#turn(group, version);
    await this.request("PUT", this.#urls.branch, { group, version, pin });
    return !this.#outline.some(({ id, metadata }) => [id, metadata?.continues, metadata?.runId].includes(version));
  }

  /** Edits, drops or puts first a message that waits. @param {object} change {messageId, action, text?} */
  changeQueued(change) {
    return this.request("POST", this.#urls.queue, { id: this.#chatId, ...change });
  }

  /** Lets an agent in, or sends it away. @param {string} agentId @param {boolean} present */
  moveAgent(agentId, present) {
    return this.request("POST", this.#urls.agents, { agentId, present });
  }

  /** Answers what a paused run asks. @param {object} body */
  decide(body) {
    return this.request("POST", this.#urls.send, body);
  }

  /** @param {string} title */
  rename(title) {
    return this.request("PATCH", this.#urls.chat, { title });
  }

  get #choices() {
    return inEffect(this.#chosen, this.pins);
  }

  /** @param {string} group @param {string} version */
  #turn(group, version) {
    this.#chosen[group] = { version, pin: this.pins[group] };
    this.emit("change", { messages: [], runs: [] });
  }

  /** @param {Iterable<string>} ids */
  #changed(ids) {
    this.#view = undefined;
    for (const id of ids) {
      const message = this.#seen.has(id) ? undefined : this.messages.find((each) => each.id === id);
      if (!message) continue;
      this.#seen.add(id);
      const { parentId, editOf } = message.metadata ?? {};
      const { branches } = this.view;
      if ([parentId, editOf].some((other) => other && !branches.placement(other))) this.emit("outdated", {});
      else if (message.metadata?.participantId !== this.#meId) this.#stay();
    }
  }

  /** Whoever waits for an answer stays with it, whatever others do to what it follows. */
  #stay() {
    const { branches, messages } = this.view;
    const asked = this.activeRuns.map((run) => this.runs[run]?.triggerId);
    const waits = this.messages.findLast(
      ({ id, metadata }) => metadata?.participantId === this.#meId && (metadata.delivery || asked.includes(id)),
    );
    if (!waits || messages.includes(waits)) return;
    const { id } = waits;
    for (const [group, version] of Object.entries(branches.choicesOf(id))) {
      if (branches.chosen(group, this.#choices) === version) continue;
      const known = !this.messages.find(({ id }) => id === version)?.metadata?.delivery;
      if (known) void this.#goTo(group, version);
      else this.#turn(group, version); // nobody else has it yet
    }
  }

  /** Where the reader is, of a group that may be above the page. @param {string} group @param {string} version */
  async #goTo(group, version) {
    if (!(await this.choose(group, version).catch(() => true))) this.emit("outdated", {});
  }
}
