/** Wires the chat page together: what the server put into the page, the client that follows it, and the views. */

import { Activity } from "./activity.js";
import { Autoscroll } from "./autoscroll.js";
import { ChatClient } from "./chat-client.js";
import { ChatView } from "./chat-view.js";
import { copyLink, copyText } from "./clipboard.js";
import { Composer } from "./composer.js";
import { durableStreamConnection } from "./connection-adapters.js";
import { ConnectionBar } from "./connection-bar.js";
import { byId } from "./dom.js";
import { finish } from "./message-view.js";

const data = JSON.parse(byId("chat-data").textContent ?? "");
const { urls, me, can, snapshot, offset, live } = data;

const main = byId("chat");
const scroller = byId("scroller");
const transcript = byId("transcript");
const jump = byId("jump");

const connection = durableStreamConnection({
  sendUrl: urls.send,
  readUrl: urls.read,
  initialOffset: offset,
  ping: live.ping * 1000,
});
const client = new ChatClient({ connection, snapshot, offset, me, chatId: data.chat.id, stopUrl: urls.stop });

const scrolling = new Autoscroll(scroller, transcript, showJump);
const bar = new ConnectionBar(byId("connection"), () => client.retryNow());
const activity = new Activity(client);
const composer = can.chat ? new Composer({ chatId: data.chat.id, send, stop }) : undefined;
let unseen = 0;

new ChatView({ root: transcript, client, reader: { meId: me.id, canChat: can.chat }, messageUrl: urls.message, onUpdate });

/** @param {number} added */
function onUpdate(added) {
  unseen = scrolling.pinned ? 0 : unseen + added;
  main.dataset.offset = client.offset ?? "";
  activity.update(client);
  if (composer) composer.running = client.activeRuns.length > 0;
  showJump();
}

function showJump() {
  if (scrolling.pinned) unseen = 0;
  jump.hidden = scrolling.pinned;
  const words = [unseen ? `${unseen} new` : "", activity.summary].filter(Boolean).join(" · ") || "Latest";
  const label = /** @type {HTMLElement} */ (jump.querySelector("span"));
  if (label.textContent !== words) label.textContent = words;
}

/** @param {string} text */
function send(text) {
  client.sendMessage(text);
  scrolling.toEnd();
}

/** The button stops what was begun last. */
function stop() {
  void client.stop(client.activeRuns.at(-1));
}

/** Escape stops what this person asked for. */
function stopMine() {
  const mine = client.messages.filter(({ metadata }) => metadata?.participantId === me.id).map(({ id }) => id);
  const run = client.activeRuns.findLast((id) => mine.includes(client.runs[id]?.triggerId ?? ""));
  if (run) void client.stop(run);
}

/** @type {Record<string, (button: HTMLElement, row: HTMLElement | null) => void>} */
const actions = {
  retry: (_, row) => {
    client.retryRun(row?.dataset.runId ?? "");
    scrolling.toEnd();
  },
  resend: (_, row) => client.retrySend(row?.dataset.messageId ?? ""),
  edit: (_, row) => composer?.restore(client.discard(row?.dataset.messageId ?? "") ?? ""),
  copy: (button, row) => {
    const parts = client.messages.find(({ id }) => id === row?.dataset.messageId)?.parts ?? [];
    const raw = parts.filter(({ type }) => type === "text").map(({ content }) => content).join("\n\n");
    void copyText(button, raw || row?.querySelector(".message-body")?.textContent || "");
  },
  "copy-code": (button) => void copyText(button, button.closest("figure")?.querySelector("code")?.textContent ?? ""),
  "copy-link": () => void copyLink(urls.share),
  starter: (button) => {
    send(/** @type {HTMLButtonElement} */ (button).value);
    byId("composer-input").focus();
  },
};

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  const action = actions[(button?.id === "copy-link" ? "copy-link" : button?.dataset.action) ?? ""];
  if (!button || !action) return;
  event.preventDefault();
  action(button, button.closest("article"));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing && !document.querySelector(":popover-open")) stopMine();
});
jump.addEventListener("click", () => scrolling.toEnd());

// htmx puts older messages above those in view.
let above = { height: 0, top: 0 };
document.addEventListener("htmx:beforeSwap", () => (above = { height: scroller.scrollHeight, top: scroller.scrollTop }));
document.addEventListener("htmx:afterSwap", () => {
  finish(transcript);
  scroller.scrollTop = above.top + scroller.scrollHeight - above.height;
});

client.addEventListener("status", () => {
  main.dataset.live = client.connectionStatus.state;
  bar.update(client.connectionStatus);
});
onUpdate(0);
client.start();
