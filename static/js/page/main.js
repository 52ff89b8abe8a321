/** Wires the chat page together: what the server put into the page, the client that follows it, and the views. */

import { Autoscroll } from "./autoscroll.js";
import { ChatView } from "./chat-view.js";
import { Composer } from "./composer.js";
import { byId, h, styles } from "./dom.js";
import { watchKeys, watchScrolling, watchSigns } from "./input.js";
import { PageSession } from "./page-session.js";
import { Here } from "./presence.js";
import { queued } from "./queued.js";
import { watchReading } from "./reading.js";
import { pendingIn } from "./rows.js";
import { watchChats } from "./sidebar.js";
import { Activity, announce, ConnectionBar } from "./status.js";
import { TabHub } from "./tab-hub.js";
import { unmarked } from "./title.js";

const { urls, me, can, chat, agents, snapshot, outline, choices, offset, live, readTo, draft } = JSON.parse(byId("chat-data").textContent ?? "");
const page = byId("chat");
const transcript = byId("transcript");
const jump = byId("jump");

const ping = live.ping * 1000;
const hub = new TabHub({ name: `live ${me.id}`, url: urls.live, ping });
const connection = hub.connection(chat.id, { sendUrl: urls.send, readUrl: urls.read, initialOffset: offset, ping });
/** What an agent may ask of the tab that asked it, and of no other. */
const tools = [
  {
    name: "browser_clock",
    description: "The speaker's time, zone and language",
    execute: async () => (await import("./browser-clock.js")).execute(),
  },
];
/** What is said here outlives the page. Loaded before anything can be cut, and after everything that can be seen. */
const outbox = import("../outbox.js").then(({ Outbox }) => {
  const kept = new Outbox({ participantId: me.id, chatId: chat.id, sendUrl: urls.send, connected: () => page.dataset.live === "live" });
  kept.addEventListener("parcel", async (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.state !== "failed" || detail.chatId === chat.id) return;
    (await import("./outbox-notice.js")).tellLost(detail, kept, byId("activity"));
  });
  return kept;
});
const client = new PageSession({ connection, snapshot, outline, choices, urls, me, chatId: chat.id, tools, tab: sessionStorage, outbox });
const place = new URLSearchParams(location.search).has("at") ? transcript.querySelector("article") : null;
const start = place ?? transcript.querySelector(".unread") ?? (location.hash ? document.getElementById(location.hash.slice(1)) : null);
const scrolling = new Autoscroll(byId("scroller"), transcript, showJump, start);
const bar = new ConnectionBar(byId("connection"));
/** @type {import("./rows.js").Reader} */
const reader = {
  meId: me.id,
  myName: me.name,
  canChat: can.chat,
  hues: Object.fromEntries(agents.map((/** @type {any} */ each) => [each.id, each.hue])),
  names: agents.flatMap((/** @type {any} */ { id, name }) => [id, name]),
};
const activity = new Activity(reader);
const here = new Here({ url: urls.presence, every: live.beat * 1000, chatId: chat.id, me, hub, onTyping: (words) => (activity.typing = words) });
const composer = can.chat ? new Composer(chat.id, send, editLast) : undefined;
/** @type {Promise<import("./queue.js").QueueStrip> | undefined} */
let strip;
let unseen = 0;

const edges = new IntersectionObserver(
  (entries) => entries.forEach(({ isIntersecting, target }) => isIntersecting && loadMore(target)),
  { root: byId("scroller"), rootMargin: "800px 0px" },
);
const view = new ChatView({ root: transcript, client, reader, scrolling, messageUrl: urls.message, onUpdate, onCrowd: async () => (await messageWindow()).trim() });
for (const link of transcript.querySelectorAll(".edge")) edges.observe(link);

/** @type {Promise<import("./message-window.js").MessageWindow> | undefined} */
let moving;

/** Long chats are loaded and dropped bit by bit. */
function messageWindow() {
  const say = (/** @type {string} */ text) => bar.say(text);
  const place = { root: transcript, scroller: byId("scroller"), view, client, scrolling, edges, say };
  moving ??= import("./message-window.js").then(({ MessageWindow }) => new MessageWindow(place));
  return moving;
}

/** @param {Element} link */
const loadMore = async (link) => (await messageWindow()).load(/** @type {HTMLAnchorElement} */ (link));

/** The end, wherever the window is. */
async function toEnd() {
  if (scrolling.attached) scrolling.toEnd();
  else await (await messageWindow()).latest();
}

/** A card that waits somewhere above. @param {string} id `ask-…` */
async function showCard(id) {
  const run = Object.values(client.runs).find(({ runId }) => id.startsWith(`ask-${runId}-`));
  await (await messageWindow()).show(run?.messageIds?.at(-1) ?? "");
  document.getElementById(id)?.scrollIntoView({ block: "center" });
}

document.addEventListener("visibilitychange", () => document.hidden && view.leave());

/** @param {number} added */
function onUpdate(added) {
  unseen += added;
  page.dataset.offset = client.offset ?? "";
  activity.update(client);
  if (composer) composer.running = client.sessionGenerating;
  showQueue();
  showPending(pendingIn(client.view));
  showJump();
  showTitle();
}

function showQueue() {
  const waiting = queued(client);
  if (!strip && !waiting.length) return;
  const restore = (/** @type {string} */ text) => composer?.restore(text);
  const say = (/** @type {string} */ text) => bar.say(text);
  const ask = can.chat ? (/** @type {object} */ change) => client.changeQueued(change) : undefined;
  const options = { place: byId("activity"), ask, restore, say };
  strip ??= Promise.all([import("./queue.js"), styles("queue")]).then(([{ QueueStrip }]) => new QueueStrip(options));
  void strip.then((shown) => shown.update(waiting));
}

/** My last message, where it waits or as another version of it; whether there is one. */
function editLast() {
  const isMine = (/** @type {import("../types.js").Message} */ { metadata }) => metadata?.participantId === me.id && !metadata?.delivery;
  const waits = queued(client).findLast(isMine);
  const said = client.view.messages.findLast(isMine);
  if (waits) void strip?.then((shown) => shown.edit(waits.id));
  else if (said) composer?.revise(said.id, textOf(said));
  return Boolean(waits ?? said);
}

/** @param {string[]} cards */
function showPending(cards) {
  const link = /** @type {HTMLAnchorElement} */ (byId("pending"));
  const text = `${cards.length} approval${cards.length === 1 ? "" : "s"} waiting`;
  const hash = cards.length ? `#${cards[0]}` : "";
  if (link.hash === hash && link.textContent === text) return;
  link.hidden = !hash;
  link.hash = hash;
  link.textContent = text;
}

function showJump() {
  if (scrolling.pinned) unseen = 0;
  jump.hidden = scrolling.pinned;
  if (jump.hidden) return;
  const words = [unseen && `${unseen} new`, activity.summary].filter(Boolean);
  /** @type {Element} */ (jump.lastElementChild).textContent = words.join(" · ") || "Latest";
}

/** The first message names the chat, here as on the server, until somebody does. */
function showTitle() {
  const title = client.title || chat.title || unmarked(textOf(client.messages[0]));
  if (!title || title === chat.title) return;
  for (const place of document.querySelectorAll(".bar-title, [aria-current] .chat-title, title")) {
    place.textContent = (place.textContent ?? "").replace(chat.title ?? "New chat", () => title);
  }
  chat.title = title;
}

/** @param {import("../types.js").Message} [message] */
const textOf = (message) => (message?.parts ?? []).map(({ type, content }) => (type === "text" ? content : "")).join("");

/** @param {string} text @param {string} [editOf] */
function send(text, editOf) {
  client.write(text, editOf);
  view.read();
  void toEnd();
}

/** @param {HTMLButtonElement} button @param {boolean} [pin] */
async function turn({ value, parentElement }, pin) {
  const here = await client.choose(parentElement?.dataset.group ?? "", value, pin);
  if (!here) location.reload();
}

// What was begun and not sent is loaded when there is any.
const drafts = { key: `draft:${me.id}:${chat.id}`, url: urls.draft, kept: draft };
/** @type {Promise<{take: (by: string) => Promise<void>}> | undefined} */
let kept;
/** Without a network there may be none: the tab keeps it all the same. */
const keepDraft = () => (kept ??= import("./draft.js").then((module) => module.keepDraft(client, drafts))).catch(() => (kept = undefined));
if (composer) {
  if (draft.text || localStorage[drafts.key]) void keepDraft();
  byId("composer-input").addEventListener("input", keepDraft, { once: true });
  hub.addEventListener("mine", async (event) => {
    const { kind, chatId, tab } = /** @type {CustomEvent} */ (event).detail;
    if (kind === "draft" && chatId === chat.id) await (await keepDraft())?.take(tab);
  });
}

const clipboard = () => import("./clipboard.js");
const sharing = () => import("./share.js");

/** @type {Record<string, (button: HTMLButtonElement, row: DOMStringMap) => unknown>} */
const actions = {
  retry: (_, { runId = "" }) => client.retryRun(runId) ?? bar.say("The question is too far back. Please ask it again."),
  resend: (_, { messageId = "" }) => client.retrySend(messageId),
  edit: (_, { messageId = "" }) => {
    const { editOf } = client.messages.find(({ id }) => id === messageId)?.metadata ?? {};
    const text = client.discard(messageId);
    if (editOf) composer?.revise(editOf, text);
    else composer?.restore(text);
  },
  revise: async (_, { messageId = "" }) => {
    const known = client.messages.find(({ id }) => id === messageId);
    composer?.revise(messageId, known ? textOf(known) : await (await import("./message-menu.js")).sourceOf(messageId, room));
  },
  more: async (button) => (await import("./message-menu.js")).openMenu(button, { room, actions, readUrl: urls.read, canChat: can.chat }),
  keys: async () => (await import("./keyboard.js")).showKeys(),
  "keep-message": () => composer?.revise(),
  regenerate: (_, { messageId = "" }) => client.regenerate(messageId) ?? bar.say("The question is too far back. Please ask it again."),
  continue: (_, { runId = "" }) => client.goOn(runId),
  rename: async () => {
    const heading = /** @type {HTMLElement} */ (document.querySelector(".bar-title"));
    await (await import("./rename.js")).editTitle(heading, (title) => client.rename(title));
  },
  version: (button) => turn(button),
  pin: (button) => turn(button, true),
  starter: ({ value }) => {
    send(value);
    composer?.focus();
  },
  // What was begun last; Escape stops what this person asked for.
  stop: () => client.stop(client.activeRuns.at(-1)),
  "stop-run": ({ value }) => client.stop(value),
  latest: toEnd,
  fork: async (_, { messageId }) => (await import("./fork.js")).forkChat(chat.id, { messageId }),
  reconnect: () => client.retryNow(),
  decide: async (button) => (await import("./approvals.js")).decide(button, (body) => client.decide(body)),
  copy: async (button) => (await clipboard()).copyText(button, client.messages),
  "copy-code": async (button) => (await clipboard()).copyText(button),
  share: async (_, { messageId }) => (await sharing()).openShare(messageId),
  "copy-link": async (button) => (await sharing()).copyLink(button, urls.share),
};

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  target.closest(".part-text a")?.setAttribute("target", "_blank");
  const pending = target.closest("a#pending");
  if (pending && !document.getElementById(pending.getAttribute("href")?.slice(1) ?? "")) {
    event.preventDefault();
    void showCard(pendingIn(client.view)[0]);
  }
  const edge = target.closest("a.edge");
  if (edge && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    void loadMore(edge);
  }
  const button = target.closest("button");
  const act = actions[button?.dataset.action ?? ""];
  if (!button || !act) return;
  event.preventDefault();
  Promise.resolve(act(button, button.closest("article")?.dataset ?? {})).catch(({ message }) => bar.say(message));
});
// Who is here, and whom one may name, is loaded when it is asked for.
const room = { client, agents, me, here, say: (/** @type {string} */ text) => bar.say(text) };
byId("agents")?.addEventListener("beforetoggle", async () => (await import("./agents-menu.js")).fillMenu(room), { once: true });
watchKeys(client, me.id);
watchSigns(room, () => void view.prepare());
watchScrolling(page, byId("scroller"), scrolling);

// What a page has for htmx is not in a hurry.
if (document.querySelector("[hx-get], [hx-post], [hx-put], [hx-patch], [hx-delete]")) {
  addEventListener("load", () => document.head.append(h("script", { src: new URL("../../vendor/htmx.min.js", import.meta.url).href })), { once: true });
}

client.addEventListener("error", (event) => {
  const { error, messageId } = /** @type {CustomEvent} */ (event).detail;
  announce(error.message, "assertive");
  if (!messageId) bar.say(error.message);
});
let outdated = false;
client.addEventListener("outdated", () => {
  outdated = true;
  renew();
});
client.addEventListener("change", renew);

/** Has the server show what only it can, once nothing is on its way. */
function renew() {
  if (!outdated || client.messages.at(-1)?.metadata?.delivery) return;
  outdated = false;
  // Whoever reads above goes on reading there.
  const { top } = byId("scroller").getBoundingClientRect();
  const inView = (/** @type {Element} */ row) => row.getBoundingClientRect().bottom > top;
  const row = scrolling.pinned ? undefined : /** @type {HTMLElement[]} */ ([...transcript.querySelectorAll("[data-message-id]")]).find(inView);
  if (row) location.replace(`?at=${encodeURIComponent(row.dataset.messageId ?? "")}`);
  else location.reload();
}
client.addEventListener("connection", () => {
  page.dataset.live = client.connectionStatus.state;
  bar.update(client.connectionStatus);
  activity.update(client);
  if (client.connectionStatus.state === "gone") here.stop();
});
watchChats(hub, { current: chat.id, say: (text) => bar.say(text) });
watchReading(client, { atEnd: () => scrolling.pinned, url: urls.seen, known: readTo });
if (client.activeRuns.length) void view.prepare();
onUpdate(0);
if (location.hash.startsWith("#ask-") && !document.getElementById(location.hash.slice(1))) void showCard(location.hash.slice(1));
client.start();
