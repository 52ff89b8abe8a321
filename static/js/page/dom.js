/** Small tools for nodes: find them, make them, bring an old tree to the state of a new one. */

/** The element with this id, on a page whose template has it. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @param {string} tag
 * @param {Record<string, string | false>} [attributes] false: none
 * @param {...(Node | string)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== false) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A copy of something in the page's `<template id="blank">`. @param {string} selector */
export function copyOf(selector) {
  const { content } = /** @type {HTMLTemplateElement} */ (byId("blank"));
  return /** @type {HTMLElement} */ (/** @type {Element} */ (content.querySelector(selector)).cloneNode(true));
}

/**
 * Makes `from` equal to `to`, keeping every node that can stay: selection, focus and open details survive.
 * @param {Node} from
 * @param {Node} to
 * @param {Node | null} [keep] stays as it is
 */
export function morph(from, to, keep) {
  if (from === keep || from.isEqualNode(to)) return;
  if (from instanceof Text && to instanceof Text) {
    if (to.data.startsWith(from.data)) from.appendData(to.data.slice(from.data.length));
    else from.data = to.data;
  } else if (from instanceof Element && to instanceof Element && from.tagName === to.tagName) {
    for (const { name } of [...from.attributes]) if (name !== "open" && !to.hasAttribute(name)) from.removeAttribute(name);
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    const wanted = [...to.childNodes];
    wanted.forEach((node, index) => {
      const present = from.childNodes[index];
      if (present) morph(present, node, keep);
      else from.append(node);
    });
    while (from.childNodes.length > wanted.length) from.lastChild?.remove();
  } else {
    /** @type {ChildNode} */ (from).replaceWith(to);
  }
}

/** @type {Record<string, Promise<unknown>>} */
const sheets = {};

/** Has a style sheet of `static/css` that is not needed from the start. @param {string} name @returns {Promise<unknown>} once it counts, or cannot be had */
export const styles = (name) => (sheets[name] ??= load(name));

/** @param {string} name */
async function load(name) {
  const id = `css-${name}`;
  if (byId(id)) return; // the server has seen to it
  const link = h("link", { id, rel: "stylesheet", href: new URL(`../../css/${name}.css`, import.meta.url).href });
  document.head.append(link);
  await new Promise((resolve) => (link.onload = link.onerror = resolve));
}
