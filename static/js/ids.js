/** Ids nobody else makes. Works on plain http too, where crypto.randomUUID does not exist. */

export function createId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
