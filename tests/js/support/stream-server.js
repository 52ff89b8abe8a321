/** A stream server as a fetch function: one JSON stream in memory, with a hook to spoil single replies. */

const encoder = new TextEncoder();

/** @typedef {{url: URL, live: string | null, offset: string, cursor: string | null, headers: Headers, signal: AbortSignal | null | undefined, number: number}} Request */
/** @typedef {{bytes?: (bytes: Uint8Array) => Uint8Array[], end?: "cut" | "end"}} Spoil */
/** @typedef {ReturnType<typeof createStreamServer>} StreamServer   `bodies`: SSE replies in order; `frame`: a batch on SSE */
/** @typedef {(request: Request) => Response | Promise<Response> | Spoil | undefined | "hang" | "refuse" | Error} Hook */

/** @param {number} position */
export const offsetOf = (position) => String(position).padStart(16, "0");

/**
 * A body the test writes to. Abort errors it, as a browser's would.
 *
 * @param {AbortSignal | null | undefined} signal
 */
export function openBody(signal) {
  /** @type {ReadableStreamDefaultController<Uint8Array>} */
  let controller;
  let over = false;
  const stream = new ReadableStream({
    start(given) {
      controller = given;
    },
    cancel() {
      over = true;
    },
  });
  /** @param {unknown} error */
  const cut = (error = new TypeError("network error")) => {
    if (!over) controller.error(error);
    over = true;
  };
  signal?.addEventListener("abort", () => cut(signal.reason));
  return {
    stream,
    /** @param {string | Uint8Array} data */
    write: (data) => !over && controller.enqueue(typeof data === "string" ? encoder.encode(data) : data),
    end: () => {
      if (!over) controller.close();
      over = true;
    },
    cut,
    get over() {
      return over;
    },
  };
}

/**
 * Pages of at most `pageSize` batches; an item of the log is a batch. With an environment, a long-poll is
 * answered 204 after 25 s.
 *
 * @param {{pageSize?: number, hook?: Hook, env?: import("../../../static/js/types.js").Environment}} [options]
 */
export function createStreamServer({ pageSize = 3, hook = () => undefined, env } = {}) {
  /** @type {any[][]} */
  const log = [];
  /** @type {Request[]} */
  const requests = [];
  /** @type {Set<() => void>} */
  const waiting = new Set();
  /** @type {ReturnType<typeof openBody>[]} */
  const bodies = [];
  let closed = false;
  let cursor = 100;

  /**
   * @type {{
   *   log: any[][], requests: Request[], bodies: ReturnType<typeof openBody>[], hook: Hook, items: any[],
   *   frame: (items: any[]) => string, append: (...items: any[]) => void, close: () => void,
   *   fetch: import("../../../static/js/types.js").Fetch,
   * }}
   */
  const self = {
    log,
    requests,
    bodies,
    hook,
    frame: (items) => `event: data\ndata:${JSON.stringify(items)}\n\n`,
    append(...items) {
      log.push(items);
      for (const wake of [...waiting]) wake();
    },
    close() {
      closed = true;
      for (const wake of [...waiting]) wake();
    },
    get items() {
      return log.flat();
    },

    fetch: async (input, init) => {
      const url = new URL(String(input));
      const offset = url.searchParams.get("offset") ?? "-1";
      const request = {
        url,
        offset,
        live: url.searchParams.get("live"),
        cursor: url.searchParams.get("cursor"),
        headers: new Headers(init?.headers),
        signal: init?.signal,
        number: requests.length,
      };
      requests.push(request);
      init?.signal?.throwIfAborted();
      const outcome = await self.hook(request);
      init?.signal?.throwIfAborted();
      if (outcome instanceof Response) return outcome;
      if (outcome instanceof Error) throw outcome;
      if (outcome === "refuse") throw new TypeError("fetch failed");
      if (outcome === "hang") return new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
      const from = offset === "-1" ? 0 : Number(offset);
      if (request.live === "sse") return sse(from, init?.signal, outcome ?? {});
      return request.live === "long-poll" ? longPoll(from, init?.signal) : page(from);
    },
  };

  /** @param {number} from */
  function page(from) {
    const to = Math.min(log.length, from + pageSize);
    const upToDate = to === log.length;
    return new Response(JSON.stringify(log.slice(from, to).flat()), { headers: headers(to, upToDate) });
  }

  /** @param {number} to @param {boolean} upToDate */
  const headers = (to, upToDate) => ({
    "Content-Type": "application/json",
    "Stream-Next-Offset": offsetOf(to),
    "Stream-Cursor": String(cursor++),
    ...(upToDate && { "Stream-Up-To-Date": "true" }),
    ...(upToDate && closed && { "Stream-Closed": "true" }),
  });

  /** @param {number} from */
  const longPollAnswer = (from) =>
    log.length > from ? page(from) : new Response(null, { status: 204, headers: headers(from, true) });

  /** @param {number} from @param {AbortSignal | null | undefined} signal @returns {Promise<Response>} */
  async function longPoll(from, signal) {
    if (log.length > from || closed) return longPollAnswer(from);
    await new Promise((resolve, reject) => {
      const wake = () => {
        env?.clearTimeout(timer);
        resolve(waiting.delete(wake));
      };
      const timer = env?.setTimeout(wake, 25_000);
      waiting.add(wake);
      signal?.addEventListener("abort", () => {
        env?.clearTimeout(timer);
        reject(signal.reason);
      });
    });
    return longPollAnswer(from);
  }

  /** @param {number} from @param {AbortSignal | null | undefined} signal @param {Spoil} spoil */
  function sse(from, signal, { bytes = (all) => [all], end }) {
    const body = openBody(signal);
    bodies.push(body);
    let at = from;
    let first = true;
    const send = () => {
      let text = "";
      while (first || at < log.length || (closed && !body.over)) {
        if (at < log.length) text += self.frame(log[at++]);
        first = false;
        const upToDate = at === log.length;
        const control = {
          streamNextOffset: offsetOf(at),
          ...(upToDate && { upToDate }),
          ...(upToDate && closed ? { streamClosed: true } : { streamCursor: String(cursor++) }),
        };
        text += `event: control\ndata:${JSON.stringify(control)}\n\n`;
        if (upToDate) break;
      }
      for (const chunk of bytes(encoder.encode(text))) body.write(chunk);
      if (end === "cut") body.cut();
      if (end === "end" || (closed && at === log.length)) body.end();
    };
    waiting.add(send);
    send();
    return new Response(body.stream, { headers: { "Content-Type": "text/event-stream" } });
  }

  return self;
}
