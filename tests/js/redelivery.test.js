/** AC-05: a server, or a proxy, that delivers everything twice and the last of it again after each cut. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { materialize } from "../../static/js/chat-reducer.js";
import { answer, echo, finished, open, started } from "./support/chat-server.js";

const AGAIN = 50;

test("every event twice, and the last fifty again after each reconnect: what is shown is the same", async () => {
  const chat = open();
  const { server, world, client } = chat;
  /** Deliveries so far, of all replies. @type {Uint8Array[]} */
  const delivered = [];
  server.stream.hook = (/** @type {{live: string}} */ { live }) => {
    if (live !== "sse") return undefined;
    let begun = false;
    return {
      bytes(/** @type {Uint8Array} */ bytes) {
        const before = begun ? [] : delivered.slice(-AGAIN);
        begun = true;
        delivered.push(bytes);
        return [...before, bytes, bytes];
      },
    };
  };
  await chat.live();
  for (let turn = 0; turn < 6; turn++) {
    const run = `r${turn}`;
    const words = Array.from({ length: 30 }, (_, place) => `${turn}.${place} `);
    const [start, ...deltas] = answer(run, ...words);
    server.stream.append(...echo({ id: `u${turn}`, parts: [{ content: `question ${turn}` }] }));
    server.stream.append(started(run, `u${turn}`), start);
    for (const [place, delta] of deltas.entries()) {
      server.stream.append(delta);
      await world.settle();
      if (place % 10 !== 9) continue;
      const replies = server.stream.bodies.length;
      server.stream.bodies.at(-1).cut();
      await world.until(() => server.stream.bodies.length > replies && client.connectionStatus.state === "live");
      assert.deepEqual(client.messages, materialize(server.stream.items).messages);
    }
    server.stream.append(...finished(run));
    await world.settle();
  }
  assert.ok(server.stream.bodies.length > 15, "it was cut often");
  const whole = materialize(server.stream.items);
  assert.deepEqual(client.messages, whole.messages);
  assert.equal(chat.texts.at(-1).split(" ").length, 31);
  assert.deepEqual(client.runs, whole.runs);
  client.close();
});
