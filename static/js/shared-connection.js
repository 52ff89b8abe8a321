/**
 * One connection for all tabs of a browser, whatever adapter it is. Chooses how it is shared: a durable one by its
 * batches (shared-batches.js), any other by its runs (shared-runs.js).
 */

import { normalizeConnectionAdapter } from "./adapter-queue.js";
import { shareFollowing } from "./shared-batches.js";
import { shareRuns } from "./shared-runs.js";
import { canShare } from "./tab-leader.js";

/** @import {ConnectionAdapter, DurableConnection, SubscribeConnection, TabsOptions} from "./types.js" */

/**
 * The connection as every tab may use it, under a name that is the same in all of them. A durable connection stays
 * what it is and shares only its reading: each tab posts by itself, and knows its own place.
 *
 * Without Web Locks (plain http) or BroadcastChannel each tab has a connection of its own.
 *
 * @param {ConnectionAdapter} connection @param {TabsOptions} options @returns {SubscribeConnection}
 */
export function sharedConnection(connection, options) {
  if (!canShare(options)) return normalizeConnectionAdapter(connection);
  const durable = /** @type {DurableConnection & SubscribeConnection} */ (connection);
  if (!durable.follow) return shareRuns(connection, options);
  return Object.assign(durable, { follow: shareFollowing(durable, options) });
}
