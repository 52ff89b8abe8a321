/** Waiting that ends at once when a signal is aborted, and leaves no listener or timer behind. */

/** One signal for all that are there. @param {...(AbortSignal | undefined)} signals */
export function anySignal(...signals) {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

/**
 * What `promise` becomes, or a rejection with the signal's reason.
 *
 * @template T @param {T | Promise<T>} promise @param {AbortSignal} [signal] @returns {Promise<Awaited<T>>}
 */
export async function abortable(promise, signal) {
  if (!signal) return await promise;
  let abort = () => {};
  const aborted = new Promise((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
  try {
    return await /** @type {Promise<Awaited<T>>} */ (Promise.race([promise, aborted]));
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** @param {number} ms @param {AbortSignal} [signal] */
export async function pause(ms, signal) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  try {
    await abortable(new Promise((resolve) => (timer = setTimeout(resolve, ms))), signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The items of `source`. Ends with the signal's reason even if the source takes no notice of the signal.
 *
 * @template T @param {AsyncIterable<T>} source @param {AbortSignal} [signal] @returns {AsyncGenerator<T, void, void>}
 */
export async function* abortableItems(source, signal) {
  const iterator = source[Symbol.asyncIterator]();
  let over = false;
  try {
    for (;;) {
      const { done, value } = await abortable(iterator.next(), signal);
      over = done === true;
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: a source that hangs would hang us.
    if (!over) void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}
