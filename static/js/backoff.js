/** How long to wait before trying again. Pure: time and randomness are arguments. Milliseconds. */

const BASE = 1000;
const CEILING = 32_000;

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
