/** How long to wait before trying again. Pure: time and randomness are arguments. Milliseconds. */

const BASE = 1000;
const CEILING = 32_000;
const LONGEST_FLOOR = 3_600_000; // a timer set for more than 24 days would fire at once

/**
 * Full jitter under a ceiling that doubles: 1 s, 2 s, … 32 s. The jitter comes on top of the server's
 * floor, so that readers told the same Retry-After do not all return in the same instant.
 *
 * @param {number} attempt   0 before the first retry
 * @param {() => number} random
 * @param {number} [floor]
 */
export function backoff(attempt, random, floor = 0) {
  return floor + random() * Math.min(CEILING, BASE * 2 ** attempt);
}

/**
 * Retry-After, which is seconds or an HTTP date, as ms from now (an hour at most); 0 when absent or unreadable.
 *
 * @param {string | null | undefined} value
 * @param {number} now   ms since the epoch
 */
export function retryAfter(value, now) {
  if (!value) return 0;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return ms > 0 ? Math.min(ms, LONGEST_FLOOR) : 0;
}
