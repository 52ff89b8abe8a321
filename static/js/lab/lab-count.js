/** Counting for the transport lab: what was said, and what of it arrived, twice or never. Pure. */

/** @import {Chunk} from "../types.js" */
/** @typedef {Map<string, string>} Messages   texts by message id */

/** Gathers what agents say out of chunks as they come; people's own words are left out. */
export function createAnswer() {
  /** @type {Set<string>} */
  const asked = new Set();
  /** @type {Set<string>} */
  const running = new Set();
  return {
    /** In the order in which it came. */
    text: "",
    /** @type {Messages} */
    messages: new Map(),
    ended: 0, // runs

    /** Whether a run has begun and not ended. */
    get running() {
      return running.size > 0;
    },

    /** @param {Chunk} chunk */
    add({ type, role, messageId, delta, runId }) {
      if (type === "TEXT_MESSAGE_START" && role === "user") asked.add(messageId);
      if (type === "TEXT_MESSAGE_CONTENT" && !asked.has(messageId)) {
        this.text += delta;
        this.messages.set(messageId, (this.messages.get(messageId) ?? "") + delta);
      }
      if (type === "RUN_STARTED") running.add(runId);
      if (type === "RUN_FINISHED" || type === "RUN_ERROR") {
        running.delete(runId);
        this.ended += 1;
      }
    },
  };
}

/**
 * How many characters of `log` did not arrive, and how many arrived beside those that did: again, or out of order.
 *
 * @param {Messages} received @param {Messages} log
 */
export function compare(received, log) {
  const sum = { lost: 0, twice: 0 };
  for (const id of new Set([...received.keys(), ...log.keys()])) {
    const { lost, twice } = compareTexts(received.get(id) ?? "", log.get(id) ?? "");
    sum.lost += lost;
    sum.twice += twice;
  }
  return sum;
}

/** As a diff counts: what can be matched in order is. @param {string} received @param {string} log */
export function compareTexts(received, log) {
  let start = 0;
  while (start < received.length && start < log.length && received[start] === log[start]) start += 1;
  let end = 0;
  const room = Math.min(received.length, log.length) - start;
  while (end < room && received[received.length - 1 - end] === log[log.length - 1 - end]) end += 1;
  const common = start + end + longestCommon(received.slice(start, received.length - end), log.slice(start, log.length - end));
  return { lost: log.length - common, twice: received.length - common };
}

/** The length of the longest common subsequence. @param {string} a @param {string} b */
function longestCommon(a, b) {
  let above = new Uint32Array(b.length + 1);
  for (const character of a) {
    const row = new Uint32Array(b.length + 1);
    for (let at = 0; at < b.length; at += 1) {
      row[at + 1] = character === b[at] ? above[at] + 1 : Math.max(row[at], above[at + 1]);
    }
    above = row;
  }
  return above[b.length];
}
