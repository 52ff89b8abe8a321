/** The agent of the small chat server: `/long N`, `/tool`, `/client` (a tool of the client), `/think`, `/fail`, or an echo. */

/**
 * What it says to what, a batch at a time.
 *
 * @param {string} text @param {string} runId @param {any} body @returns {Generator<any[], void, void>}
 */
export function* script(text, runId, body) {
  const messageId = `${runId}-m`;
  const [command, argument] = text.split(" ");
  const say = function* (/** @type {string} */ words) {
    for (const delta of words.match(/\S+\s*|\s+/g) ?? []) yield [{ type: "TEXT_MESSAGE_CONTENT", messageId, delta }];
  };
  if (command === "/silent") return;
  if (body.resume) {
    for (const { interruptId, payload } of body.resume) {
      const toolCallId = interruptId.replace(/-input$/, "");
      yield [
        {
          type: "TOOL_CALL_RESULT",
          messageId: `${toolCallId}-result`,
          toolCallId,
          content: JSON.stringify(payload),
          role: "tool",
        },
      ];
    }
  }
  yield [
    { type: "TEXT_MESSAGE_START", messageId, role: "assistant", name: "Agent", metadata: { agentId: "a", runId } },
  ];
  if (body.resume) yield* say(`It said ${JSON.stringify(body.resume[0].payload)}.`);
  else if (command === "/long") yield* say(Array.from({ length: Number(argument) }, (_, n) => `word${n}`).join(" "));
  else if (command === "/fail") {
    yield* say("I am about to");
    yield [{ type: "RUN_ERROR", runId, threadId: "t", message: "The agent broke.", code: "agent-failed" }];
    return;
  } else if (command === "/tool" || command === "/client") {
    yield* say("Let me look.");
    const toolCallId = `${runId}-call`;
    yield [{ type: "TOOL_CALL_START", toolCallId, toolCallName: "clock", parentMessageId: messageId }];
    for (const delta of ['{"zone"', ":", '"UTC"', "}"]) yield [{ type: "TOOL_CALL_ARGS", toolCallId, delta }];
    yield [{ type: "TOOL_CALL_END", toolCallId }];
    if (command === "/client") {
      yield [{ type: "TEXT_MESSAGE_END", messageId }];
      const interrupt = {
        id: `${toolCallId}-input`,
        reason: "client_tool_input",
        toolCallId,
        metadata: { kind: "client_tool", toolName: "clock", input: { zone: "UTC" } },
      };
      yield [
        {
          type: "RUN_FINISHED",
          runId,
          threadId: body.threadId,
          outcome: { type: "interrupt", interrupts: [interrupt] },
        },
      ];
      return;
    }
    yield [
      {
        type: "TOOL_CALL_RESULT",
        messageId: `${toolCallId}-result`,
        toolCallId,
        content: '{"time":"12:00"}',
        role: "tool",
      },
    ];
    yield* say("It is noon.");
  } else if (command === "/think") {
    yield [{ type: "REASONING_START", messageId: "th" }];
    for (const delta of ["Let ", "me ", "think."])
      yield [{ type: "REASONING_MESSAGE_CONTENT", messageId: "th", delta }];
    yield [{ type: "REASONING_END", messageId: "th" }];
    yield* say("I have thought.");
  } else yield* say(`Echo: ${text}`);
  yield [{ type: "TEXT_MESSAGE_END", messageId }];
}

/** @param {any} message */
const partsOf = ({ parts, content }) => parts ?? (typeof content === "string" ? [{ type: "text", content }] : content);

/** @param {any} message @returns {string} */
export const textOf = (message) =>
  partsOf(message)
    .filter((/** @type {any} */ { type }) => type === "text")
    .map((/** @type {any} */ { content, text }) => content ?? text)
    .join("");

/** @param {any} message @returns {any[]} */
export const mediaOf = (message) => partsOf(message).filter((/** @type {any} */ { type }) => type !== "text");
