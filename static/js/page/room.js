/** Who is in a chat: its agents, and the people that are here or have said something. Loaded when somebody asks. */

import { personHue } from "./rows.js";

/**
 * @typedef {{id: string, name: string, hue: number, scripted: boolean, present: boolean}} Agent   `present`: from the start, as far as
 *   this chat is concerned
 * @typedef {object} Room
 * @property {import("./page-session.js").PageSession} client
 * @property {Agent[]} agents            of the server
 * @property {{id: string, name: string}} me
 * @property {{people: import("./presence.js").Person[]}} here
 * @property {(text: string) => void} say   what went wrong
 * @typedef {{name: string, hue: number, kind: "agent" | "person", id: string}} Someone
 */

/** Every agent, and whether it is here now. @param {Room} room @returns {Agent[]} */
export function agentsOf({ client, agents }) {
  const { roster } = client;
  return agents.map((agent) => ({ ...agent, present: roster[agent.id] ?? agent.present }));
}

/** Whom one may name: the agents that are here, then other people. @param {Room} room @returns {Someone[]} */
export function company(room) {
  /** @type {Someone[]} */
  const agents = agentsOf(room).filter(({ present }) => present).map(({ id, name, hue }) => ({ id, name, hue, kind: "agent" }));
  /** @type {Map<string, Someone>} */
  const people = new Map();
  for (const { role, name, metadata } of room.client.messages) {
    const id = metadata?.participantId;
    if (role === "user" && name && id && id !== room.me.id) people.set(id, { id, name, hue: personHue(metadata, id), kind: "person" });
  }
  for (const { participantId: id, name, hue } of room.here.people) if (id !== room.me.id) people.set(id, { id, name, hue, kind: "person" });
  return [...agents, ...people.values()];
}
