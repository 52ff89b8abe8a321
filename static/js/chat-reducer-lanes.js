/**
 * Where events that name no message go: one lane per active run, so that runs never meet. The JavaScript of
 * `webapp/chat/reducer/lanes.py`, which explains it. Must not know what is in a message.
 *
 * @typedef {{open: string[], current: string, adopt: string, step: string}} Lane
 * @typedef {import("./chat-reducer-parts.js").Obj} Obj
 */

import { record, str } from "./chat-reducer-parts.js";

/** By run. @extends {Map<string, Lane>} */
export class Lanes extends Map {
  #active;

  /** @param {Set<string>} active   the runs under way @param {Record<string, Lane>} [state] */
  constructor(active, state = {}) {
    super(Object.entries(state));
    this.#active = active;
  }

  /** The run an event belongs to, by what it says or else by when it comes. @param {Obj} event */
  owner(event) {
    const run = str(event.runId) || str(record(event.metadata).runId);
    return run ? (this.#active.has(run) ? run : "") : ([...this.#active].at(-1) ?? "");
  }

  /** @param {string} run @returns {Lane} */
  of(run) {
    const lane = this.get(run) ?? { open: [], current: "", adopt: "", step: "" };
    this.set(run, lane);
    return lane;
  }

  /** The lane's current message from now on, unless some lane has it open. @param {Lane} lane @param {string} id */
  enter(lane, id) {
    for (const { open } of this.values()) if (open.includes(id)) return;
    lane.open.push(id);
    lane.current = id;
  }

  /** Have a message under another id, or no more. @param {string} old @param {string} [id] */
  rename(old, id) {
    for (const lane of this.values()) {
      lane.open = lane.open.flatMap((each) => (each === old ? id ?? [] : each));
      if (lane.current === old) lane.current = id ?? "";
    }
  }
}
