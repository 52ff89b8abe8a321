/**
 * Tools that run in a client. A run that wants one pauses (RUN_FINISHED with an interrupt), and goes on with the
 * result. In a session many clients hear of it; only the one that sent the run may act, or a tool would run once per
 * open tab.
 */

/** @import {Chunk, RunInfo} from "./types.js" */

/**
 * @typedef {object} ToolRequest
 * @property {string} interruptId
 * @property {string} toolCallId
 * @property {string} toolName
 * @property {any} input
 *
 * @typedef {object} ClientTool           TanStack's, as far as it is used here
 * @property {string} name
 * @property {string} [description]
 * @property {any} [parameters]           a JSON schema of its input
 * @property {(input: any, context: {toolCallId: string}) => unknown} [execute]
 */

const REASONS = ["client_tool_input", "tanstack:client_tool_execution"];

/** @param {any} interrupt */
const isToolRequest = ({ reason, metadata }) => REASONS.includes(reason) || metadata?.kind === "client_tool";

/** @param {Chunk} chunk @returns {any[]} */
const interruptsOf = ({ type, outcome }) =>
  type === "RUN_FINISHED" && outcome?.type === "interrupt" && Array.isArray(outcome.interrupts)
    ? outcome.interrupts
    : [];

/** What a run asks its sender to execute. @param {Chunk} chunk @returns {ToolRequest[]} */
export const toolRequests = (chunk) => interruptsOf(chunk).filter(isToolRequest).map(requestOf);

/** @param {any} interrupt @returns {ToolRequest} */
const requestOf = ({ id, toolCallId, metadata }) => ({
  interruptId: id,
  toolCallId,
  toolName: metadata?.toolName,
  input: metadata?.input,
});

/**
 * The chunk for who must not execute anything; undefined if nothing of it is left.
 *
 * @param {Chunk} chunk @returns {Chunk | undefined}
 */
export function withoutToolRequests(chunk) {
  if (chunk.type === "CUSTOM" && chunk.name === "tool-input-available") return undefined;
  const interrupts = interruptsOf(chunk);
  const kept = interrupts.filter((each) => !isToolRequest(each));
  if (kept.length === interrupts.length) return chunk;
  const { outcome, ...rest } = chunk;
  return kept.length ? { ...rest, outcome: { ...outcome, interrupts: kept } } : rest;
}

/**
 * Executes what a run asks for, and gives the `resume` to go on with. A tool that fails or is not here is answered
 * with its error, so that the run goes on too.
 *
 * @param {ToolRequest[]} requests @param {ClientTool[]} tools
 */
export const executeTools = (requests, tools) =>
  Promise.all(
    requests.map(async ({ interruptId, toolCallId, toolName, input }) => ({
      interruptId,
      status: /** @type {const} */ ("resolved"),
      payload: await executeTool(
        tools.find(({ name }) => name === toolName),
        toolName,
        input,
        toolCallId,
      ),
    })),
  );

/** Whether all that a run has paused for are tools, so that nobody has to decide anything. @param {any[]} interrupts */
export const needsOnlyTools = (interrupts = []) => interrupts.length > 0 && interrupts.every(isToolRequest);

/**
 * What this client answers a run that has paused; undefined if it waits for no tools, or for nothing any more. Whatever
 * else it asks is for others to decide, and until then it waits. The run that goes on has an id that follows from its
 * parent's: a tab that is loaded again asks for the same one.
 *
 * @param {RunInfo} run @param {ClientTool[]} tools
 */
export async function answersTo({ runId, interrupts = [], supersededBy }, tools) {
  const wanted = interrupts.filter(isToolRequest);
  if (supersededBy || !wanted.length) return undefined;
  const [, base, count = 1] = /** @type {RegExpMatchArray} */ (runId.match(/^(.*?)(?:\.(\d+))?$/s));
  const resume = await executeTools(wanted.map(requestOf), tools);
  // Only the chat itself may name a run with "~".
  return { runId: `${base.replaceAll("~", "-")}.${Number(count) + 1}`, parentRunId: runId, resume, again: true };
}

/** @param {ClientTool | undefined} tool @param {string} name @param {any} input @param {string} toolCallId */
async function executeTool(tool, name, input, toolCallId) {
  if (!tool?.execute) return { error: `There is no tool ${name} here.` };
  try {
    return (await tool.execute(input, { toolCallId })) ?? null;
  } catch (error) {
    return { error: (error instanceof Error && error.message) || "The tool failed." };
  }
}
