/**
 * The colour of a participant or agent: which of the classes `hue-0` … `hue-23` it wears.
 * FNV-1a, 32 bits, of the UTF-8 bytes; `webapp/chat/messages.py` gives the same.
 */

export const HUES = 24;

/**
 * @param {string} identity
 * @returns {number} 0 to 23
 */
export function hue(identity) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(identity)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value % HUES;
}
