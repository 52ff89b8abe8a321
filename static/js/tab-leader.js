/**
 * One leader among the tabs of a browser that joined under a name, and messages between them.
 *
 * The leader holds a Web Lock; when its tab goes, the next one has it. A tab that is frozen keeps its lock and answers
 * nobody: others ping it, and take the lock away after two misses. Knows nothing of what the messages are about.
 */

/** @import {TabsOptions} from "./types.js" */

/** Whether this browser, on this page, has what it takes: plain http has no locks. @param {TabsOptions} options */
export const canShare = ({ locks = globalThis.navigator?.locks, Channel = globalThis.BroadcastChannel }) =>
  Boolean(locks && Channel);

/**
 * @typedef {object} Tabs
 * @property {(message: {type: string} & Record<string, any>) => void} post   to all others
 * @property {() => void} ask                                                  whether the leader is there
 * @property {() => void} leave
 *
 * @typedef {object} TabsListeners
 * @property {(message: any) => void} onMessage   also of others that begin to lead: `{type: "lead"}`
 * @property {(until: AbortSignal) => void} onLead
 * @property {() => object} [tell]                what goes along with a question whether the leader is there, or its answer
 * @property {(message: any) => void} [hear]      the same from another tab: as leader a "ping", else a "pong"
 *
 * @param {TabsOptions} options @param {TabsListeners} on @returns {Tabs}
 */
export function joinTabs(
  { name, ping = 5_000, quiet = () => false, locks = navigator.locks, Channel = BroadcastChannel },
  { onMessage, onLead, tell = () => ({}), hear = () => {} },
) {
  const channel = new Channel(name);
  const leaving = new AbortController();
  const left = leaving.signal;
  let leading = false;
  let misses = 0;
  let asked = 0;
  const ask = () => channel.postMessage({ ...tell(), type: "ping" });

  channel.onmessage = ({ data }) => {
    if (data.type === "pong" || data.type === "lead") misses = 0;
    if (data.type === "ping" && !leading) return;
    if (data.type === "ping" || data.type === "pong") hear(data);
    else onMessage(data);
    if (data.type === "ping") channel.postMessage({ ...tell(), type: "pong" });
  };

  const watch = setInterval(() => {
    // By the clock: timers in the background may be as slow as one a minute.
    if (leading || (quiet() && Date.now() - asked < 8 * ping)) return;
    asked = Date.now();
    if (misses >= 2) void compete({ steal: true });
    misses = misses >= 2 ? 0 : misses + 1;
    ask();
  }, ping);

  /** @param {LockOptions} [how] */
  async function compete(how = { signal: left }) {
    const turn = new AbortController();
    const end = () => turn.abort();
    left.addEventListener("abort", end);
    try {
      await locks.request(name, how, () => {
        if (left.aborted) return undefined;
        leading = true;
        channel.postMessage({ type: "lead" });
        onLead(turn.signal);
        return new Promise((resolve) => turn.signal.addEventListener("abort", resolve));
      });
    } catch {
      // Taken away, or we have left.
    }
    left.removeEventListener("abort", end);
    leading = false;
    turn.abort();
    if (!left.aborted && !how.steal) void compete(); // one request always waits
  }
  void compete();

  return {
    post: (message) => left.aborted || channel.postMessage(message),
    ask,
    leave() {
      leaving.abort();
      clearInterval(watch);
      channel.close();
    },
  };
}
