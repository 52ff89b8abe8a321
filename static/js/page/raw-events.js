/** The events of the stream that made a message, as they are. Loaded when somebody asks. */

import { copy } from "./clipboard.js";
import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { readLog } from "./read-log.js";
import { announce } from "./status.js";

const MOST = 500;

/** @param {string} readUrl @param {{id: string, runId: string}} message `runId`: its, if it is an answer */
export async function showEvents(readUrl, { id, runId }) {
  const place = h("p", { class: "hint", role: "status" }, "Reading the log…");
  const dialog = await openDialog("Raw events", place);
  /** @type {import("../types.js").Chunk[]} */
  const events = [];
  for await (const { items } of readLog(readUrl)) events.push(...items.filter((event) => event.messageId === id || (runId && event.runId === runId)));
  const lines = events.slice(0, MOST).map((event) => JSON.stringify(event));
  const told = events.length > MOST ? `The first ${MOST} of ${events.length} events` : `${events.length} events`;
  const button = h("button", { class: "quiet-button", type: "button" }, "Copy all");
  button.addEventListener("click", async () => {
    await copy(events.map((event) => JSON.stringify(event)).join("\n"), dialog);
    announce("Copied");
  });
  place.textContent = `${told} of the chat's stream, the first one first.`;
  place.after(h("ol", { class: "raw-events", tabindex: "0", "aria-label": "Events" }, ...lines.map((line) => h("li", {}, h("code", {}, line)))), button);
}
