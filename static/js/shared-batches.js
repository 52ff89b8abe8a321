/**
 * One reader of a stream for all tabs. Every tab knows its own place, so the leader's batches are told with where
 * they begin and end: a tab takes the one that begins where it is, skips what it has, and reads what it lacks itself.
 * Whoever leads next goes on from its own place, without a gap.
 */

import { anySignal } from "./abort.js";
import { createQueue } from "./adapter-queue.js";
import { createPlace } from "./own-place.js";
import { joinTabs } from "./tab-leader.js";

/** @import {ConnectionStatus, DurableConnection, TabsOptions} from "./types.js" */

/** @param {DurableConnection} connection @param {TabsOptions} options @returns {DurableConnection["follow"]} */
export function shareFollowing(connection, options) {
  const followAlone = connection.follow;

  return async function* follow(signal, { offset = connection.offset, ...how } = {}) {
    const place = createPlace(offset, (offset) => followAlone(signal, { offset, ...how }));
    /** @type {ReturnType<typeof createQueue<any>>} */
    const inbox = createQueue();
    /** As leader: how the connection is. @type {ConnectionStatus | undefined} */
    let told;
    const tell = () => told && tabs.post({ type: "status", status: told });
    const tabs = joinTabs(options, {
      onMessage: (message) => (message.type === "hello" ? tell() : inbox.push(message)),
      onLead: (until) => inbox.push({ type: "lead", until }),
    });

    /** @param {AbortSignal} until */
    async function* lead(until) {
      const forget = connection.onStatus((status) => {
        told = status;
        tell();
      });
      try {
        for await (const batch of followAlone(anySignal(signal, until), { offset: place.offset, ...how })) {
          tabs.post({ type: "batch", from: place.offset, batch });
          place.offset = batch.offset;
          yield batch;
        }
      } finally {
        forget();
        told = undefined;
      }
    }

    try {
      yield* place.catchUp();
      if (place.over) return;
      tabs.post({ type: "hello" });
      for await (const { type, until, from, batch, status } of inbox.read(signal)) {
        if (type === "status") connection.report(status);
        if (type === "lead" && until) {
          yield* lead(until);
          if (!until.aborted) return; // closed, or gone
        }
        if (type === "batch") yield* place.take(from, batch);
        if (place.over) return;
      }
    } finally {
      tabs.leave();
    }
  };
}
