/** One WebSocket that speaks JSON: opens, is watched, and ends once, with a reason. Knows nothing of runs. */

import { resolveUrl } from "./http.js";
import { StreamReadError } from "./stream-errors.js";

/** @import {UrlSource, WebSocketOptions} from "./types.js" */

const OPEN = 1;
const TOO_QUIET = 4000; // ours; never sent by a server

/**
 * @typedef {object} Link
 * @property {Promise<void>} opened
 * @property {boolean} usable              not lost and not closed
 * @property {(frame: object) => void} send
 * @property {() => void} close            quietly: `onLost` is not told
 *
 * @param {UrlSource} url @param {Record<string, string>} search @param {WebSocketOptions} options
 * @param {{onFrame: (text: string) => void, onLost: (code: number, error: StreamReadError) => void}} on
 * @returns {Link}
 */
export function openLink(
  url,
  search,
  { WebSocketImpl = WebSocket, protocols = [], ping = 30_000 },
  { onFrame, onLost },
) {
  const target = resolveUrl(url);
  target.protocol = target.protocol.replace("http", "ws");
  target.hash = "";
  for (const name in search) target.searchParams.set(name, search[name]);

  const socket = new WebSocketImpl(target.href, protocols);
  let usable = true;
  let heardAt = 0;
  /**
   * Set by the first ping: a server that sends none may be silent.
   * @type {ReturnType<typeof setInterval> | undefined}
   */
  let watch;

  const end = () => {
    usable = false;
    clearInterval(watch);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // some implementations throw what nobody listens to
    // A closing handshake with a dead peer would take minutes; nobody waits for it.
    if (socket.readyState <= OPEN) socket.close();
  };

  /** @param {number} code @param {string} reason */
  const lose = (code, reason) => {
    if (!usable) return;
    end();
    const error = new StreamReadError(undefined, reason || undefined);
    fail(error);
    onLost(code, error);
  };

  /** @type {(error: Error) => void} */
  let fail = () => {};
  const opened = new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
    fail = reject;
    socket.onopen = () => resolve();
  });
  opened.catch(() => {}); // who waits for it hears of it

  socket.onerror = () => {}; // "close" follows, and says more
  socket.onclose = ({ code, reason }) => lose(code, reason);
  socket.onmessage = ({ data }) => {
    heardAt = Date.now();
    if (!isPing(data)) return onFrame(String(data));
    watch ??= setInterval(() => {
      if (Date.now() - heardAt > 2.5 * ping) lose(TOO_QUIET, "The server has fallen silent.");
    }, ping / 2);
  };

  return {
    opened,
    get usable() {
      return usable;
    },
    send(frame) {
      if (!usable || socket.readyState !== OPEN) throw new StreamReadError();
      socket.send(JSON.stringify(frame));
    },
    close() {
      end();
      fail(new StreamReadError());
    },
  };
}

/** @param {unknown} data */
function isPing(data) {
  if (typeof data !== "string" || data.length > 100 || !data.includes("ping")) return false;
  try {
    return JSON.parse(data)?.type === "ping";
  } catch {
    return false;
  }
}
