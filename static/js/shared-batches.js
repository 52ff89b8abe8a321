/**
 * One reader of a stream for all tabs. Every tab knows its own place, so the leader's batches are told with where
 * they begin and end: a tab takes the one that begins where it is, skips what it has, and reads what it lacks itself.
 * Whoever leads next goes on from its own place, without a gap.
 */

import { anySignal } from "./abort.js";
import { createQueue } from "./adapter-queue.js";
import { BEGINNING, isAfter } from "./stream-state.js";
import { joinTabs } from "./tab-leader.js";

/** @import {ConnectionStatus, DurableConnection, TabsOptions} from "./types.js" */

/** @param {DurableConnection} connection @param {TabsOptions} options @returns {DurableConnection["follow"]} */
export function shareFollowing(connection, options) {
  const followAlone = connection.follow;

  return async function* follow(signal, { offset = connection.offset, ...how } = {}) {
    /** @type {ReturnType<typeof createQueue<any>>} */
    const inbox = createQueue();
    /** As leader: how the connection is. @type {ConnectionStatus | undefined} */
    let told;
    const tell = () => told && tabs.post({ type: "status", status: told });
    const tabs = joinTabs(options, {
      onMessage: (message) => (message.type === "hello" ? tell() : inbox.push(message)),
      onLead: (until) => inbox.push({ type: "lead", until }),
    });

    /** Reads up to the present. @returns {AsyncGenerator<import("./types.js").Batch, boolean, void>} whether it got there */
    async function* readAlone() {
      for await (const batch of followAlone(signal, { offset, ...how })) {
        offset = batch.offset;
        yield batch;
        if (batch.upToDate) return true;
      }
      return false;
    }

    /** @param {AbortSignal} until */
    async function* lead(until) {
      const forget = connection.onStatus((status) => {
        told = status;
        tell();
      });
      try {
        for await (const batch of followAlone(anySignal(signal, until), { offset, ...how })) {
          tabs.post({ type: "batch", from: offset, batch });
          offset = batch.offset;
          yield batch;
        }
      } finally {
        forget();
        told = undefined;
      }
    }

    try {
      if (!(yield* readAlone())) return;
      tabs.post({ type: "hello" });
      for await (const { type, until, from, batch, status } of inbox.read(signal)) {
        if (type === "status") connection.report(status);
        if (type === "lead" && until) {
          yield* lead(until);
          if (!until.aborted) return; // closed, or gone
        }
        if (type !== "batch" || !isAfter(batch.offset, offset ?? BEGINNING)) continue;
        if (from === offset) {
          offset = batch.offset;
          yield batch;
        } else if (!(yield* readAlone())) {
          return;
        }
      }
    } finally {
      tabs.leave();
    }
  };
}
