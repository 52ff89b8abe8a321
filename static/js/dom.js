/** Small tools for nodes: make them, bring an old tree to the state of a new one, drop white space between blocks. */

/**
 * @param {string} tag
 * @param {Record<string, string | null | undefined>} [attributes] null and undefined are left out
 * @param {...(Node | string)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The element with this id, on a page whose template has it. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Makes `from` equal to `to`, keeping every node that can stay: selection, focus and open details survive.
 * @param {Node} from
 * @param {Node} to
 */
export function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from instanceof Text && to instanceof Text) {
    if (to.data.startsWith(from.data)) from.appendData(to.data.slice(from.data.length));
    else from.data = to.data;
  } else if (from instanceof Element && to instanceof Element && from.tagName === to.tagName) {
    morphAttributes(from, to);
    const wanted = [...to.childNodes];
    wanted.forEach((node, index) => {
      const present = from.childNodes[index];
      if (present) morph(present, node);
      else from.append(node);
    });
    while (from.childNodes.length > wanted.length) from.lastChild?.remove();
  } else {
    /** @type {ChildNode} */ (from).replaceWith(to);
  }
}

/** @param {Element} from @param {Element} to */
export function morphAttributes(from, to) {
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
}

const BLOCK = /^(?:ARTICLE|BLOCKQUOTE|DETAILS|DIV|FIGCAPTION|FIGURE|FOOTER|H[1-6R]|HEADER|LI|OL|P|PRE|SECTION|SUMMARY|T(?:ABLE|BODY|D|H|HEAD|R)|UL)$/;

/** Drops the line breaks a renderer leaves between blocks. @param {ParentNode & Node} root */
export function tidy(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const idle = [];
  while (walker.nextNode()) {
    const text = /** @type {Text} */ (walker.currentNode);
    const { previousSibling: before, nextSibling: after } = text;
    const between = (!before || BLOCK.test(before.nodeName)) && (!after || BLOCK.test(after.nodeName));
    if (between && text.data.includes("\n") && !text.data.trim() && !text.parentElement?.closest("pre, p")) idle.push(text);
  }
  idle.forEach((text) => text.remove());
}
