/**
 * One leader among the tabs of a browser that joined under a name, and messages between them.
 *
 * The leader holds a Web Lock; when its tab goes, the next one has it. A tab that is frozen keeps its lock and answers
 * nobody: others ping it, and take the lock away after two misses. Knows nothing of what the messages are about.
 */

/** @import {TabsOptions} from "./types.js" */

/** Whether this browser, on this page, has what it takes: plain http has no locks. @param {TabsOptions} options */
export const canShare = ({ locks = globalThis.navigator?.locks, Channel = globalThis.BroadcastChannel }) =>
  locks !== undefined && Channel !== undefined;

/**
 * @typedef {object} Tabs
 * @property {(message: {type: string} & Record<string, any>) => void} post   to all others
 * @property {() => void} leave
 *
 * @param {TabsOptions} options
 * @param {{onMessage: (message: any) => void, onLead: (until: AbortSignal) => void}} on
 *   `onMessage` also hears of others that begin to lead: `{type: "lead"}`
 * @returns {Tabs}
 */
export function joinTabs(
  { name, ping = 5_000, locks = navigator.locks, Channel = BroadcastChannel },
  { onMessage, onLead },
) {
  const channel = new Channel(name);
  const leaving = new AbortController();
  const left = leaving.signal;
  let leading = false;
  let misses = 0;

  channel.onmessage = ({ data }) => {
    if (data.type === "ping") return leading && channel.postMessage({ type: "pong" });
    if (data.type === "pong" || data.type === "lead") misses = 0;
    if (data.type !== "pong") onMessage(data);
  };

  const watch = setInterval(() => {
    if (leading) return;
    if (misses >= 2) void compete({ steal: true });
    misses = misses >= 2 ? 0 : misses + 1;
    channel.postMessage({ type: "ping" });
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
    leave() {
      leaving.abort();
      clearInterval(watch);
      channel.close();
    },
  };
}
