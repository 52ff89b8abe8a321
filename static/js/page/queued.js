/** Which messages wait for their turn: a pure reading of the chat as everybody sees it. */

/** @typedef {import("../types.js").Message} Message */

/**
 * What people have said since the question that is being answered, and no run has taken up. Oldest first.
 * @param {import("./rows.js").Talk} chat
 * @returns {Message[]}
 */
export function queued({ messages, runs, activeRuns }) {
  if (!activeRuns.length) return [];
  const asked = activeRuns.map((id) => runs[id]?.triggerId);
  const taken = new Set(Object.values(runs).map(({ triggerId }) => triggerId));
  for (const { role, metadata } of messages) if (role === "assistant") taken.add(metadata?.parentId);
  const first = messages.findIndex(({ id }) => asked.includes(id));
  return messages.slice(first + 1).filter(({ id, role, metadata }) => role === "user" && !metadata?.delivery && !taken.has(id));
}
