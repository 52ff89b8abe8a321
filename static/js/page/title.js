/** What a chat is called by what was said in it first: the words, without the marks of Markdown. As `webapp/chat/titles.py` has it. */

const LOOKED_AT = 400;

/** @param {string} text @returns {string} its beginning without marks, or with them if there is nothing else */
export function unmarked(text) {
  const pair = /(?<![\p{L}\p{N}_*~])(\*{1,3}|_{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?![\p{L}\p{N}_*~])/gu;
  const said = text
    .trim()
    .slice(0, LOOKED_AT)
    .replace(/^ *(?:`{3,}|~{3,})\S*$/gm, "")
    .replace(/!?\[([^[\]]*)\]\([^()]*\)/g, "$1")
    .replace(/(`+)(.+?)\1/g, "$2")
    .replace(pair, "$2")
    .replace(pair, "$2")
    .replace(/^ *(?:(?:#{1,6}|[-*+]) +|> ?)+/gm, "");
  return said.trim() || text;
}
