/** Styles of what is loaded on demand. @param {string} name of a file in css/ @returns {Promise<unknown>} once they apply, or cannot be had */
export function addStyles(name) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL(`../css/${name}`, import.meta.url).href;
  const settled = new Promise((resolve) => (link.onload = link.onerror = resolve));
  document.head.append(link);
  return settled;
}
