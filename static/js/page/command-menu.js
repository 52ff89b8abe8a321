/**
 * The menu of commands that opens behind a `/` at the beginning of a message: what the scripted agents understand, and what
 * the page does itself. Loaded at the first `/`.
 */

import { suggest } from "./suggestions.js";

/** What one can write to a scripted agent, as `webapp/agents/scripted_texts.py` has it. @type {[string, string][]} */
export const SCRIPTED = [
  ["/long 400", "a long, slow answer"],
  ["/tool", "a tool call with a real result"],
  ["/browser", "a tool that runs in your browser"],
  ["/approve", "a tool that has to be approved"],
  ["/think", "some reasoning, then the answer"],
  ["/fail", "an error half-way through"],
  ["/silent", "no answer at all"],
  ["/debate", "two agents talk to each other"],
  ["/help", "what the agent can do"],
];

/** @typedef {[command: string, what: string, act?: () => void]} Command */

/** @param {string} text before the caret */
export const queryIn = (text) => text.match(/^\/([a-z]*)$/i)?.[1];

/** @param {Command[]} commands @param {string} query @returns {import("./suggestions.js").Suggestion[]} */
export const matching = (commands, query) =>
  commands.filter(([name]) => name.startsWith(`/${query.toLowerCase()}`)).map(([text, hint, act]) => ({ text, hint, act }));

/** @param {HTMLTextAreaElement} input @param {{scripted: boolean}[]} agents */
export function watchCommands(input, agents) {
  const press = (/** @type {string} */ selector) => () => /** @type {HTMLElement | null} */ (document.querySelector(selector))?.click();
  /** @type {Command[]} */
  const own = [
    ["/new", "begin a new chat", press(".new-chat button")],
    ["/rename", "rename this chat", press(".bar [data-action=rename]")],
    ["/theme", "switch between light and dark", press("#theme")],
    ["/keys", "what keys do", press("[data-action=keys]")],
  ];
  const commands = [...(agents.some(({ scripted }) => scripted) ? SCRIPTED : []), ...own];
  suggest(input, { id: "commands", label: "Commands", query: queryIn, offer: (query) => matching(commands, query) });
}
