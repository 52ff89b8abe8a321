/** What is to be said of a lane of the transport lab, in words. Pure. */

/** @import {Lane} from "./lab-lanes.js" */

/**
 * @typedef {"ready" | "arriving" | "reconnecting" | "complete" | "lost" | "twice"} LaneState
 *
 * @typedef {object} Verdict
 * @property {LaneState} state
 * @property {string} sentence
 * @property {number} lost      characters that will not come any more
 * @property {number} twice     characters
 */

/** @param {number} count */
const characters = (count) => `${count.toLocaleString("en")} ${count === 1 ? "character" : "characters"}`;

/**
 * @param {Pick<Lane, "state" | "traffic">} lane
 * @param {{lost: number, twice: number, said: number, busy: boolean, asked: boolean}} counted
 *   `said`: the length of the log; `busy`: something is still being said; `asked`: by this tab, before or since it
 *   was loaded
 * @returns {Verdict}
 */
export function judge({ state, traffic }, { lost, twice, said, busy, asked }) {
  const expecting = state === "expecting";
  const counts = { lost: expecting ? 0 : lost, twice };
  /** @param {LaneState} state @param {string} sentence @returns {Verdict} */
  const verdict = (state, sentence) => ({ state, sentence, ...counts });

  if (twice > 0) return verdict("twice", `${characters(twice)} came twice`);
  if (said === 0 && !busy) return verdict("ready", "Ready");
  if (expecting && (busy || lost > 0)) {
    return traffic.open > 0 ? verdict("arriving", "Arriving") : verdict("reconnecting", "Connecting");
  }
  if (lost === 0 && said > 0) return verdict("complete", "Complete");
  if (state === "broken") return verdict("lost", `Cut off: ${characters(lost)} lost`);
  if (state === "ended") return verdict("lost", `Its request is over: ${characters(lost)} missed`);
  return asked ? verdict("lost", "The reply went with the page") : verdict("lost", "This tab asked for nothing");
}

/** For those who do not see the lanes. @param {Verdict[]} verdicts @param {string[]} titles */
export function summary(verdicts, titles) {
  return verdicts.map(({ sentence }, index) => `${titles[index]}: ${sentence}.`).join(" ");
}
