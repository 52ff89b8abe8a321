/** A world without real time: a clock that only tests move, its timers, and a window that fires events. */

/** @typedef {ReturnType<typeof createWorld>} World */

/** @param {{random?: () => number, start?: number}} [options] */
export function createWorld({ random = () => 0.5, start = 1_800_000_000_000 } = {}) {
  let now = start;
  let ids = 0;
  /** @type {Set<string>} */
  const listening = new Set();
  /** @type {WeakMap<object, number>} */
  const names = new WeakMap();
  /** @type {Map<number, {at: number, callback: () => void}>} */
  const timers = new Map();

  /** @param {Parameters<EventTarget["addEventListener"]>} args */
  function nameOf([type, listener]) {
    if (listener && !names.has(listener)) names.set(listener, ++ids);
    return `${type} ${listener && names.get(listener)}`;
  }
  class Window extends EventTarget {
    /** @override @param {Parameters<EventTarget["addEventListener"]>} args */
    addEventListener(...args) {
      listening.add(nameOf(args));
      super.addEventListener(...args);
    }
    /** @override @param {Parameters<EventTarget["removeEventListener"]>} args */
    removeEventListener(...args) {
      listening.delete(nameOf(args));
      super.removeEventListener(...args);
    }
  }
  const events = new Window();

  /** Lets everything that is ready happen: promises and stream reads take a few turns. */
  const settle = async () => {
    for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
  };

  /** @param {number} until */
  function fireNext(until) {
    const next = [...timers].sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
    if (!next || next[1].at > until) return false;
    timers.delete(next[0]);
    now = Math.max(now, next[1].at);
    next[1].callback();
    return true;
  }

  return {
    online: true,
    events,
    settle,
    get now() {
      return now;
    },
    get timers() {
      return timers.size;
    },
    /** Listeners added and not removed. */
    get listening() {
      return listening.size;
    },
    /** @param {number} ms */
    async advance(ms) {
      const until = now + ms;
      do await settle();
      while (fireNext(until));
      now = until;
      await settle();
    },
    /** Lets time pass until the condition holds. @param {() => boolean} condition */
    async until(condition, limit = 3_600_000) {
      const last = now + limit;
      await settle();
      while (!condition()) {
        if (!fireNext(last)) throw new Error(`Nothing more will happen within ${limit} ms.`);
        await settle();
      }
    },
    /** The machine sleeps: time passes, timers do not fire. @param {number} ms */
    sleep(ms) {
      now += ms;
    },
    /** @param {string} type @param {Record<string, unknown>} [properties] */
    fire(type, properties = {}) {
      events.dispatchEvent(Object.assign(new Event(type), properties));
    },
    /** @returns {import("../../../static/js/types.js").Environment} */
    get env() {
      return {
        now: () => now,
        random,
        setTimeout: (callback, ms) => {
          timers.set(++ids, { at: now + Math.max(0, ms), callback });
          return ids;
        },
        clearTimeout: (id) => timers.delete(id),
        online: () => this.online,
        events,
      };
    },
  };
}

/** A small seeded generator (mulberry32), so that a failing run can be repeated. @param {number} seed */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
