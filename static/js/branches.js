/**
 * Which of several versions of a message or an answer somebody has before them: the twin of `webapp/chat/branches.py`,
 * which explains it. Pure.
 *
 * @typedef {import("./types.js").Message} Message
 * @typedef {Record<string, string>} Choices   the version that is looked at, by group
 * @typedef {{parent?: string, group: string, version: string}} Placement
 */

export class Branches {
  #messages;
  /** @type {Map<string, Placement>} */
  #placed = new Map();
  /** @type {Map<string, string[]>} */
  #versions = new Map();
  /** The last message of each version. @type {Map<string, string>} */
  #last = new Map();

  /** @param {Message[]} messages in the order of the log; of those above the page no more than an outline */
  constructor(messages) {
    this.#messages = messages;
    /** @type {string | undefined} */
    let previous;
    for (const message of messages) {
      const placement = this.#place(message, previous);
      const versions = this.#versions.get(placement.group) ?? [];
      if (!versions.includes(placement.version)) versions.push(placement.version);
      this.#placed.set(message.id, placement);
      this.#last.set(placement.version, message.id);
      this.#versions.set(placement.group, versions);
      previous = message.id;
    }
  }

  /** @param {string} id */
  placement(id) {
    return this.#placed.get(id);
  }

  /** The versions of a group, the oldest first. @param {string} group @returns {string[]} */
  versions(group) {
    return this.#versions.get(group) ?? [];
  }

  /** The last message of the version that a message belongs to. @param {string} id */
  lastOf(id) {
    return this.#last.get(this.placement(id)?.version ?? "");
  }

  /** The version of the group that counts. @param {string} group @param {Choices} choices */
  chosen(group, choices) {
    const versions = this.versions(group);
    return versions.includes(choices[group]) ? choices[group] : versions.at(-1);
  }

  /** The messages on the path, in the order of the log. @param {Choices} choices */
  path(choices) {
    const shown = new Set();
    return this.#messages.filter(({ id }) => {
      const { parent, group, version } = /** @type {Placement} */ (this.placement(id));
      const on = (parent === undefined || shown.has(parent)) && version === this.chosen(group, choices);
      if (on) shown.add(id);
      return on;
    });
  }

  /** The choices that lead to a message. @param {string} id @returns {Choices} */
  choicesOf(id) {
    /** @type {Choices} */
    const choices = {};
    for (let at = this.placement(id); at; at = this.placement(at.parent ?? "")) choices[at.group] = at.version;
    return choices;
  }

  /** What a new message follows: the last answer to the last question on the path. @param {Choices} choices */
  tip(choices) {
    const path = this.path(choices);
    const asked = path.findLast(({ role }) => role === "user")?.id;
    return path.findLast(({ id }) => !asked || this.#turn(id) === asked)?.id;
  }

  /** The person's message that it answers in the end, or is. @param {string | undefined} id */
  #turn(id) {
    const roles = new Map(this.#messages.map(({ id, role }) => [id, role]));
    while (id && roles.get(id) !== "user") id = this.placement(id)?.parent;
    return id;
  }

  /** @param {Message} message @param {string | undefined} previous @returns {Placement} */
  #place({ id, role, metadata = {} }, previous) {
    const { parentId, editOf, runId, continues = runId, agentId = "" } = metadata;
    const known = this.#placed.has(parentId);
    const parent = known ? parentId : previous;
    if (role === "assistant") {
      const attempt = known && typeof continues === "string";
      return attempt ? { parent, group: `${parentId}/${agentId}`, version: continues } : { parent, group: id, version: id };
    }
    const edited = this.placement(editOf);
    return edited ? { ...edited, version: id } : { parent, group: id, version: id };
  }
}

/**
 * What somebody looks at: what is pinned, unless they chose something else since.
 * @param {Record<string, {version: string, pin?: string | null}>} chosen @param {Choices} pins @returns {Choices}
 */
export function inEffect(chosen, pins) {
  const own = Object.entries(chosen).filter(([group, { pin }]) => (pin ?? undefined) === pins[group]);
  return { ...pins, ...Object.fromEntries(own.map(([group, { version }]) => [group, version])) };
}
