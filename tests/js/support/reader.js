/** A reader of a fake server in a fake world, and all it has seen. */

import { followStream } from "../../../static/js/durable-stream.js";
import { createStreamServer } from "./stream-server.js";
import { createWorld } from "./world.js";

/** @import {Batch, ConnectionStatus} from "../../../static/js/types.js" */

export const URL_ = "http://chat.test/api/chat-stream?id=c%201";

/**
 * Starts one.
 *
 * @param {import("./stream-server.js").StreamServer} [server]
 * @param {Partial<Parameters<typeof followStream>[0]> & {world?: import("./world.js").World}} [options]
 */
export function start(server = createStreamServer(), { world = createWorld(), ...options } = {}) {
  const controller = new AbortController();
  /** @type {Batch[]} */
  const batches = [];
  /** @type {ConnectionStatus[]} */
  const statuses = [];
  const reader = {
    world,
    server,
    batches,
    statuses,
    over: false,
    stop: () => controller.abort(),
    get items() {
      return batches.flatMap((batch) => batch.items);
    },
    get states() {
      return statuses.map(({ state }) => state);
    },
    get last() {
      return statuses[statuses.length - 1];
    },
    get asked() {
      return server.requests.map(({ live, offset }) => `${live ?? "read"} ${offset.replace(/^0+(?=.)/, "")}`);
    },
    live: () => world.until(() => reader.last.state === "live"),
    done: /** @type {Promise<void>} */ (Promise.resolve()),
  };
  reader.done = (async () => {
    for await (const batch of followStream({
      url: URL_,
      fetchClient: server.fetch,
      env: world.env,
      signal: controller.signal,
      onStatus: (status) => statuses.push(status),
      ...options,
    })) {
      batches.push(batch);
    }
    reader.over = true;
  })();
  return reader;
}

/** @param {string | null} body @param {number} status @param {Record<string, string>} [headers] */
export const answer = (body, status, headers) => new Response(body, { status, headers });
