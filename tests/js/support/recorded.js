/** Recorded sessions: what TanStack's own reducer was seen to make of them, where that is at hand, and ours. */

import { existsSync, readdirSync, readFileSync } from "node:fs";

const RECORDED = new URL("../../../../shared/golden/reducer-cases.jsonl", import.meta.url);
const OWN = new URL("../../golden/", import.meta.url);

/** @param {URL} file @returns {any[]} */
const lines = (file) =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

export const recorded = existsSync(RECORDED) ? lines(RECORDED) : [];

/** By the name of their file. @type {Record<string, any[]>} */
export const own = Object.fromEntries(
  readdirSync(OWN)
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => [name, lines(new URL(name, OWN))]),
);
