/**
 * The transport lab's page: asks over every lane at once, makes trouble on request, and says what each lane has.
 * The chat is in the address, so that a second tab finds it; which runs this tab asked for, the tab remembers.
 */

import { byId } from "../page/dom.js";
import { createId, postJson } from "../http.js";
import { compare } from "./lab-count.js";
import { createLane, NAMES } from "./lab-lanes.js";
import { createLog } from "./lab-log.js";
import { judge, summary } from "./lab-verdict.js";
import { LaneView } from "./lab-view.js";

/** @import {Lane} from "./lab-lanes.js" */

const LOOK_EVERY = { busy: 400, quiet: 1_500 }; // ms
const SHOW_EVERY = 100; // ms
const fetchClient = fetch.bind(globalThis);

const buttons = ["cut", "refresh", "tab"].map((id) => /** @type {HTMLButtonElement} */ (byId(id)));
const send = byId("send");
const views = new Map(NAMES.map((name) => [name, new LaneView(name)]));

/** @type {{chat: string, runs: string[], log: ReturnType<typeof createLog>, lanes: Lane[]} | undefined} */
let lab;
let awaited = 0; // how many ends the log will have once everything asked for is answered
let settled = true; // every lane has all that it will have
let wake = () => {};

/** Whether anything is still being said. */
const busy = () =>
  lab !== undefined &&
  (lab.log.answer.running ||
    (lab.log.answer.ended < awaited && lab.lanes.some(({ state }) => state === "expecting")));

/** @param {string} sentence */
function announce(sentence) {
  byId("announce").textContent = sentence;
}

/** @param {unknown} error */
function fail(error) {
  const sentence = error instanceof Error ? error.message : String(error);
  byId("log").textContent = sentence;
  announce(sentence);
}

/** @param {string} chat @param {string[]} runs   those that this tab asked for before */
function enter(chat, runs) {
  lab = { chat, runs, log: createLog(chat), lanes: NAMES.map((name) => createLane(name, chat)) };
  for (const lane of lab.lanes) void lane.resume(runs);
  for (const button of buttons) button.disabled = false;
  const link = /** @type {HTMLAnchorElement} */ (byId("chat-link"));
  link.href = `/chat/${chat}`;
  link.hidden = byId("again").hidden = false;
  setInterval(show, SHOW_EVERY);
  void watch();
}

/** Looks again and again; one look at a time, or the log would be counted twice. */
async function watch() {
  while (await look()) {
    await new Promise((resolve) => {
      wake = () => resolve(undefined);
      setTimeout(wake, settled && !busy() ? LOOK_EVERY.quiet : LOOK_EVERY.busy);
    });
  }
}

/** Reads the log, then holds against it what every lane had before: that must all be in it. False: never again. */
async function look() {
  if (!lab) return false;
  const { lanes, log, runs } = lab;
  const before = lanes.map(({ answer, state, traffic }) => ({ state, traffic, messages: new Map(answer.messages) }));
  try {
    await log.read();
  } catch (error) {
    const gone = /** @type {{status?: number}} */ (error).status === 404;
    fail(gone ? new Error("This lab is somebody else's, or gone. Start over.") : error);
    return !gone;
  }
  const { length: said } = log.answer.text;
  const now = busy();
  const verdicts = before.map((lane) =>
    judge(lane, { ...compare(lane.messages, log.answer.messages), said, busy: now, asked: runs.length > 0 }),
  );
  show(); // a verdict is never about more than is there to be seen
  for (const [index, lane] of lanes.entries()) views.get(lane.name)?.tell(verdicts[index]);
  const state = now ? "and is being written" : "and is complete";
  byId("log").textContent = said || now ? `The log has ${said.toLocaleString("en")} characters ${state}.` : "";
  send.setAttribute("aria-disabled", String(now));
  const wasSettled = settled;
  settled = !now && verdicts.every(({ state }) => state !== "arriving" && state !== "reconnecting");
  if (settled && !wasSettled) announce(summary(verdicts, lanes.map(({ name }) => views.get(name)?.title ?? name)));
  return true;
}

function show() {
  for (const lane of lab?.lanes ?? []) views.get(lane.name)?.show(lane);
}

/** @param {string} text */
async function ask(text) {
  if (!lab) {
    const reply = await postJson("/api/chats", { title: "Transport lab" }, { fetchClient });
    const { id } = await reply.json();
    history.replaceState(null, "", `#${id}`);
    enter(id, []);
  }
  if (!lab) return;
  const { chat, runs, lanes, log } = lab;
  const runId = createId();
  runs.push(runId);
  sessionStorage.lab = JSON.stringify({ chat, runs });
  awaited = log.answer.ended + 1;
  const message = { id: createId(), role: "user", parts: [{ type: "text", content: text }] };
  // The same message and the same run over every lane: whichever comes first starts it, the others follow it.
  for (const lane of lanes) void lane.send(message, { threadId: chat, runId });
  wake();
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (send.getAttribute("aria-disabled") === "true") return;
  send.setAttribute("aria-disabled", "true");
  announce("Asked over all five.");
  ask(/** @type {HTMLInputElement} */ (byId("prompt")).value).catch((error) => {
    send.setAttribute("aria-disabled", "false");
    fail(error);
  });
});

byId("cut").addEventListener("click", async () => {
  try {
    const response = await postJson("/api/lab/cut", { id: lab?.chat }, { fetchClient });
    const { cut } = await response.json();
    const sentence = cut === 1 ? "The server cut 1 connection." : `The server cut ${cut} connections.`;
    byId("happened").textContent = sentence;
    announce(sentence);
  } catch (error) {
    fail(error);
  }
});
byId("refresh").addEventListener("click", () => location.reload());
byId("tab").addEventListener("click", () => window.open(location.href, "_blank", "noopener"));
addEventListener("hashchange", () => location.reload());

const chat = location.hash.slice(1);
if (/^[\w-]{8,64}$/.test(chat)) {
  const remembered = JSON.parse(sessionStorage.lab ?? "{}");
  enter(chat, remembered.chat === chat ? remembered.runs : []);
}
