/**
 * A reducer for tests in other languages: each line of input is `{snapshot?, events, final?}`, each line of output
 * the snapshot after it.
 */

import { createInterface } from "node:readline";

import { createReducer } from "../../static/js/chat-reducer.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { snapshot, events, final } = JSON.parse(line);
  const reducer = createReducer(snapshot);
  for (const event of events) reducer.apply(event);
  if (final) reducer.finalize();
  process.stdout.write(`${JSON.stringify(reducer.snapshot())}\n`);
}
