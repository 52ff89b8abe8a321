/** Polling, so that no test depends on how fast the machine is; and signals that tell who listens to them. */

import { setTimeout as sleep } from "node:timers/promises";

/** Until the condition holds. @param {() => unknown} check @param {string} [what] @param {number} [timeout] ms */
export async function eventually(check, what = String(check), timeout = 15_000) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`did not hold within ${timeout} ms: ${what}`);
    await sleep(5);
  }
}

/** An AbortController whose signal counts its listeners. */
export function watchedController() {
  const controller = new AbortController();
  const { signal } = controller;
  /** @type {Set<unknown>} */
  const listening = new Set();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (/** @type {Parameters<AbortSignal["addEventListener"]>} */ ...args) => {
    listening.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (/** @type {Parameters<AbortSignal["removeEventListener"]>} */ ...args) => {
    listening.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  return {
    signal,
    abort: (/** @type {unknown} */ reason = undefined) => controller.abort(reason),
    get listeners() {
      return listening.size;
    },
  };
}

/** Everything a stream of chunks brings, and how it ended. @param {AsyncIterable<any>} source */
export async function collect(source) {
  /** @type {any[]} */
  const chunks = [];
  try {
    for await (const chunk of source) chunks.push(chunk);
    return { chunks, error: undefined };
  } catch (error) {
    return { chunks, error: /** @type {Error & Record<string, any>} */ (error) };
  }
}

/** The text that the chunks say, of everybody but the user. @param {any[]} chunks */
export function textOf(chunks) {
  const users = chunks
    .filter(({ type, role }) => type === "TEXT_MESSAGE_START" && role === "user")
    .map(({ messageId }) => messageId);
  return chunks
    .filter(({ type, messageId }) => type === "TEXT_MESSAGE_CONTENT" && !users.includes(messageId))
    .map(({ delta }) => delta)
    .join("");
}

/** @param {string} text */
export const userMessage = (text, id = `u-${Math.random().toString(36).slice(2)}`) => ({
  id,
  role: "user",
  parts: [{ type: "text", content: text }],
});

/** Counts the timers that our modules set from now on and that neither fire nor are cleared. Node's own do not count. */
export function watchTimers() {
  const { setTimeout: set, clearTimeout: clear, setInterval: repeat, clearInterval: end } = globalThis;
  /** @type {Set<unknown>} */
  const pending = new Set();
  /** @template T @param {T} timer */
  const note = (timer) => {
    if (new Error().stack?.includes("/static/js/")) pending.add(timer);
    return timer;
  };
  /** @param {(timer: any) => void} forget */
  const forgetting = (forget) => (/** @type {unknown} */ timer) => {
    pending.delete(timer);
    forget(timer);
  };
  Object.assign(globalThis, {
    setTimeout(
      /** @type {(...args: any[]) => void} */ callback,
      /** @type {number} */ ms,
      /** @type {any[]} */ ...args
    ) {
      const timer = set(() => {
        pending.delete(timer);
        callback(...args);
      }, ms);
      return note(timer);
    },
    setInterval: (/** @type {Parameters<typeof repeat>} */ ...args) => note(repeat(...args)),
    clearTimeout: forgetting(clear),
    clearInterval: forgetting(end),
  });
  return {
    get pending() {
      return pending.size;
    },
    restore: () =>
      Object.assign(globalThis, { setTimeout: set, clearTimeout: clear, setInterval: repeat, clearInterval: end }),
  };
}
