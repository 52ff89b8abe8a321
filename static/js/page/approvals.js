/** Decides an approval: the card's form, sent without leaving the page. What comes of it everybody hears in the stream. */

import { announce } from "./status.js";

/**
 * @param {HTMLButtonElement} button
 * @param {(body: object) => Promise<unknown>} post
 */
export async function decide(button, post) {
  const form = /** @type {HTMLFormElement} */ (button.form);
  const fields = new FormData(form);
  const value = (/** @type {string} */ name) => String(fields.get(name) ?? "");
  const buttons = form.querySelectorAll("button");
  try {
    /** @type {Record<string, any>} */
    const payload = { approved: button.value !== "deny", arguments: value("arguments") };
    if (value("reason").trim()) payload.reason = value("reason").trim();
    if (button.value === "edit") payload.editedArgs = edited(value("editedArgs"));
    tell(form, "");
    for (const each of buttons) each.disabled = true;
    const resume = [{ interruptId: value("interruptId"), status: "resolved", payload }];
    await post({ messages: [], resume, parentRunId: value("runId") });
  } catch (error) {
    for (const each of buttons) each.disabled = false;
    tell(form, /** @type {Error} */ (error).message);
  }
}

/** @param {string} text */
function edited(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("The arguments are not valid JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("The arguments must be a JSON object.");
  return value;
}

/** @param {HTMLFormElement} form @param {string} text */
function tell(form, text) {
  const place = /** @type {HTMLElement} */ (form.querySelector(".approval-error"));
  place.hidden = !text;
  place.textContent = text;
  if (text) announce(text, "assertive");
}
