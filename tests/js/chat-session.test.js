import assert from "node:assert/strict";
import { test } from "node:test";

import { createId } from "../../static/js/http.js";
import { materialize } from "../../static/js/chat-reducer.js";
import { answer, echo, finished, ME, open, started } from "./support/chat-server.js";
import { offsetOf } from "./support/stream-server.js";

/** @param {ReturnType<typeof open>} chat @param {string} text @param {Record<string, any>} [data] */
const say = ({ client }, text, data) => client.say(text, data).message;

const lost = () => Promise.reject(new TypeError("network error"));

test("continues the page's snapshot from its offset, whole batches at a time", async () => {
  const history = [[...echo({ id: "u1", parts: [{ content: "Hi" }] }), started("r1", "u1"), ...answer("r1", "Hel")], [...answer("r1", "lo").slice(1)]];
  const chat = open({ events: history, snapshot: materialize(history[0]), initialOffset: offsetOf(1) });
  assert.deepEqual(chat.texts, ["Hi", "Hel"]);
  assert.equal(chat.client.sessionGenerating, true);
  await chat.live();
  assert.deepEqual(chat.texts, ["Hi", "Hello"]);
  chat.server.stream.append(...finished("r1"));
  await chat.world.settle();
  assert.equal(chat.client.sessionGenerating, false);
  const changes = chat.events.filter(({ type }) => type === "change").map(({ detail }) => detail);
  assert.deepEqual(
    changes.map(({ messages, runs }) => [[...messages], [...runs]]),
    [
      [["m-r1"], []],
      [["m-r1"], ["r1"]],
    ],
  );
  assert.equal(chat.client.offset, offsetOf(3));
  chat.client.close();
});

test("a message is there at once, then sent, then the stream's; only the newest is posted", async () => {
  const chat = open({ events: [echo({ id: "old", parts: [{ content: "Before" }] })] });
  await chat.live();
  let answerNow = () => {};
  chat.server.onPost = async () => {
    await new Promise((resolve) => (answerNow = () => resolve(undefined)));
    return new Response(null, { status: 202 });
  };
  const { id } = say(chat, "Hello", { tone: "dry" });
  assert.deepEqual(chat.texts, ["Before", "Hello"]);
  assert.deepEqual(chat.deliveries, [undefined, "sending"]);
  await chat.world.settle();
  const wire = { id, role: "user", parts: [{ type: "text", content: "Hello" }] };
  assert.deepEqual(chat.server.posts, [{ path: "/api/chat", messages: [wire], data: { tone: "dry" }, runId: "id-2" }]);
  answerNow();
  await chat.world.settle();
  assert.deepEqual(chat.deliveries, [undefined, "sent"]);
  chat.server.accept({ messages: [wire] });
  await chat.world.settle();
  assert.deepEqual(chat.deliveries, [undefined, undefined]);
  assert.equal(chat.client.messages[1].metadata?.participantId, ME.id);
  chat.client.close();
});

test("a reply lost after the commit ends in one message", async () => {
  for (const echoed of ["before the retry", "after it"]) {
    const chat = open();
    await chat.live();
    let attempts = 0;
    chat.server.onPost = (body, { accept }) => {
      attempts += 1;
      if (attempts === 1 && echoed === "after it") for (const each of chat.server.stream.bodies) each.cut();
      accept(body);
      return attempts === 1 ? lost() : undefined;
    };
    if (echoed === "after it") chat.server.stream.hook = () => "refuse";
    chat.client.say("Once");
    assert.deepEqual(chat.deliveries, ["sending"]);
    if (echoed === "after it") {
      await chat.world.until(() => attempts === 2);
      chat.server.stream.hook = () => undefined;
    }
    await chat.world.until(() => chat.deliveries[0] === undefined);
    await chat.world.advance(60_000);
    assert.deepEqual(chat.texts, ["Once"]);
    assert.equal(attempts, echoed === "after it" ? 2 : 1);
    assert.equal(new Set(chat.server.posts.map(({ messages, runId }) => `${messages[0].id} ${runId}`)).size, 1);
    assert.deepEqual(chat.events.filter(({ type }) => type === "error"), []);
    chat.client.close();
  }
});

test("the echo may come before the reply, and nothing is lost by it", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = async (body, { accept }) => {
    accept(body);
    await chat.world.settle();
    assert.deepEqual(chat.deliveries, [undefined]);
    return new Response(null, { status: 503 });
  };
  chat.client.say("Hi");
  await chat.world.advance(60_000);
  assert.deepEqual(chat.texts, ["Hi"]);
  assert.equal(chat.server.posts.length, 1);
  chat.client.close();
});

test("an unanswered post is given up and repeated", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = (_, __, init) =>
    chat.server.posts.length > 1
      ? undefined
      : new Promise((_resolve, reject) => init.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
  chat.client.say("Hi");
  await chat.world.until(() => chat.deliveries[0] === undefined);
  assert.equal(chat.server.posts.length, 2);
  chat.client.close();
});

test("while offline a message waits as long as it takes, and messages keep their order", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = lost;
  chat.server.stream.hook = () => "refuse";
  chat.world.online = false;
  chat.server.stream.bodies[0].cut();
  await chat.world.until(() => chat.client.connectionStatus.state === "offline");
  for (const text of ["one", "two", "three"]) chat.client.say(text);
  await chat.world.advance(1_800_000);
  assert.deepEqual(chat.deliveries, ["sending", "sending", "sending"]);
  chat.server.onPost = undefined;
  chat.server.stream.hook = () => undefined;
  chat.world.online = true;
  chat.world.fire("online");
  const back = chat.world.now;
  await chat.world.until(() => chat.deliveries.every((delivery) => delivery === undefined));
  assert.ok(chat.world.now - back < 1_000, "sent as soon as the connection is back");
  assert.deepEqual(chat.texts, ["one", "two", "three"]);
  chat.client.close();
});

test("a refused message says why, keeps its text, and can be sent again as the same message or taken back", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = () => new Response('{"error":"You may only read here.","code":"forbidden"}', { status: 403 });
  const { id } = say(chat, "Hi");
  await chat.world.until(() => chat.deliveries[0] === "failed");
  assert.equal(chat.client.messages[0].metadata?.error, "You may only read here.");
  const [{ detail }] = chat.events.filter(({ type }) => type === "error");
  assert.deepEqual([detail.error.code, detail.messageId], ["forbidden", id]);
  assert.equal(chat.server.posts.length, 1);

  chat.client.retrySend(id);
  assert.deepEqual(chat.deliveries, ["sending"]);
  await chat.world.until(() => chat.deliveries[0] === "failed");
  assert.deepEqual(chat.server.posts[0], chat.server.posts[1]);
  assert.equal(chat.client.discard(id), "Hi");
  assert.deepEqual(chat.texts, []);

  chat.server.onPost = undefined;
  const { id: other } = say(chat, "Hello");
  await chat.world.settle();
  chat.client.retrySend(other);
  assert.equal(chat.client.discard(other), undefined, "what is in the stream cannot be taken back");
  assert.deepEqual(chat.texts, ["Hello"]);
  chat.client.close();
});

test("a server in trouble is asked five times, as slowly as it wishes", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = () => new Response("", { status: 503, headers: { "Retry-After": "4" } });
  const began = chat.world.now;
  chat.client.say("Hi");
  await chat.world.until(() => chat.deliveries[0] === "failed");
  assert.equal(chat.server.posts.length, 5);
  assert.ok(chat.world.now - began >= 16_000);
  chat.client.close();
});

test("a message taken back while it waits is not sent any more, and does not hold up the next", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = () => (chat.server.posts.length === 1 ? new Response("", { status: 503, headers: { "Retry-After": "60" } }) : undefined);
  const { id } = say(chat, "No");
  await chat.world.settle();
  chat.client.say("Yes");
  chat.client.discard(id);
  await chat.world.settle();
  assert.deepEqual(chat.texts, ["Yes"]);
  assert.deepEqual(chat.server.posts.map(({ messages }) => messages[0].parts[0].content), ["No", "Yes"]);
  chat.client.close();
});

test("retryRun asks again for the same message, in a new run", async () => {
  const chat = open({
    events: [[...echo({ id: "u1", parts: [{ content: "Hi" }] }), started("r1", "u1"), { type: "RUN_ERROR", runId: "r1", code: "interrupted", message: "Interrupted." }]],
  });
  await chat.live();
  const next = chat.client.retryRun("r1");
  await chat.world.settle();
  const wire = { id: "u1", role: "user", parts: [{ type: "text", content: "Hi" }] };
  assert.deepEqual(chat.server.posts, [{ path: "/api/chat", messages: [wire], data: { agentId: "a" }, runId: next }]);
  assert.deepEqual(chat.deliveries.filter(Boolean), [], "the question is no new message");
  assert.equal(chat.client.retryRun("r1"), next, "one click more while it waits for its turn");
  await chat.world.settle();
  assert.equal(chat.server.posts.length, 1);
  chat.server.stream.append(started(String(next), "u1"), ...answer(String(next), "Yo"));
  await chat.world.settle();
  assert.equal(chat.client.retryRun("unknown"), undefined);

  chat.server.onPost = () => new Response('{"error":"Too many runs."}', { status: 400 });
  chat.client.retryRun("r1");
  await chat.world.settle();
  const { detail } = chat.events.findLast(({ type }) => type === "error") ?? {};
  assert.deepEqual([detail.error.message, detail.messageId], ["Too many runs.", undefined]);
  chat.client.close();
});

test("retryRun asks the agent that failed, though another answers the same message, or an answer", async () => {
  /** @param {string} runId @param {string} trigger @param {string} agentId */
  const failed = (runId, trigger, agentId) => [
    { ...started(runId, trigger), metadata: { agentId, agentName: agentId, triggerId: trigger, attempt: 1 } },
    { type: "RUN_ERROR", runId, code: "agent-failed", message: "No." },
  ];
  const told = [...echo({ id: "u1", parts: [{ content: "Hi" }] }), started("r0", "u1"), ...answer("r0", "@two?"), { type: "RUN_FINISHED", runId: "r0" }];
  const chat = open({ events: [[...told, ...failed("r1", "u1", "one"), ...failed("r2", "u1", "two"), ...failed("r3", "m-r0", "two")]] });
  await chat.live();
  const asked = ["r1", "r2", "r3"].map((run) => chat.client.retryRun(run));
  await chat.world.settle();
  assert.deepEqual(
    chat.server.posts.map(({ messages, data, runId }) => [messages[0].id, messages[0].role, data.agentId, runId]),
    [
      ["u1", "user", "one", asked[0]],
      ["u1", "user", "two", asked[1]],
      ["m-r0", "assistant", "two", asked[2]],
    ],
  );
  chat.client.close();
});

test("stop names the chat and the run; what cannot be stopped is said", async () => {
  const chat = open();
  await chat.live();
  const replies = [
    Response.json({ stopped: true }),
    Response.json({ stopped: false }),
    Response.json({ error: "You may only read here." }, { status: 403 }),
  ];
  chat.server.onPost = () => replies.shift();
  assert.equal(await chat.client.stop("r1"), true);
  assert.equal(await chat.client.stop(), false);
  assert.equal(await chat.client.stop("r1"), false);
  assert.deepEqual(chat.server.posts.slice(0, 2), [{ path: "/api/chat/stop", id: "c1", runId: "r1" }, { path: "/api/chat/stop", id: "c1" }]);
  assert.deepEqual(chat.events.filter(({ type }) => type === "error").map(({ detail }) => [detail.error.message, detail.runId]), [
    ["You may only read here.", "r1"],
  ]);
  chat.client.close();
});

test("the connection's troubles are told with their beginning, what was missed, and its end", async () => {
  const chat = open({ events: [["x"]] });
  await chat.live();
  const began = chat.world.now;
  chat.server.stream.bodies[0].cut();
  chat.server.stream.append({ type: "CUSTOM" }, { type: "CUSTOM" });
  await chat.world.until(() => chat.client.connectionStatus.state === "reconnecting");
  assert.equal(chat.client.connectionStatus.since, began);
  assert.ok(chat.client.connectionStatus.retryAt);
  chat.client.retryNow();
  await chat.world.settle();
  assert.deepEqual([chat.world.now, chat.client.connectionStatus.state, chat.client.connectionStatus.caughtUp], [began, "live", 2]);

  chat.server.stream.hook = () => Response.json({ error: "This chat does not exist.", code: "chat-not-found" }, { status: 404 });
  chat.server.stream.bodies[1].end();
  await chat.world.until(() => chat.client.connectionStatus.state === "gone");
  assert.equal(chat.client.connectionStatus.error, "This chat does not exist.");
});

test("close leaves nothing behind, whatever is under way", async () => {
  const chat = open();
  await chat.live();
  chat.server.onPost = lost;
  chat.client.say("Hi");
  void chat.client.stop();
  await chat.world.settle();
  chat.client.close();
  await chat.world.settle();
  assert.deepEqual([chat.world.timers, chat.world.listening], [0, 0]);
  assert.ok(chat.server.stream.requests.every((/** @type {any} */ { signal }) => signal?.aborted));
});

test("ids are long, random and fit for a URL", () => {
  const ids = new Set(Array.from({ length: 100 }, createId));
  assert.equal(ids.size, 100);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});
