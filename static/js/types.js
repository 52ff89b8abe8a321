/**
 * The shapes the browser modules pass to each other. Types only: no page ever loads this file.
 *
 * @typedef {Record<string, any>} Chunk   one AG-UI event
 *
 * @typedef {object} Batch                events that count together
 * @property {any[]} items
 * @property {string} offset              where to read on
 * @property {boolean} upToDate           nothing was left after `offset`
 *
 * @typedef {"connecting" | "live" | "reconnecting" | "offline" | "gone" | "closed"} ConnectionState
 *
 * @typedef {object} ConnectionStatus
 * @property {ConnectionState} state
 * @property {number} since               ms since the epoch; for trouble, when it began
 * @property {number} [retryAt]           ms since the epoch of the next attempt, while waiting for it
 * @property {number} [caughtUp]          "live" after trouble: how many events had been missed
 * @property {number} [status]            "gone": the HTTP status
 * @property {string} [code]              "gone": the server's stable code
 * @property {string} [error]             "gone": the server's sentence
 *
 * @typedef {typeof fetch} Fetch
 * @typedef {Record<string, string> | Headers | [string, string][]} HeaderValues
 * @typedef {HeaderValues | (() => HeaderValues | Promise<HeaderValues>)} HeaderSource
 *
 * @typedef {object} Environment          what a reader needs of the world; tests bring their own
 * @property {() => number} now           ms since the epoch
 * @property {() => number} random        0 ≤ x < 1
 * @property {(callback: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => boolean} online
 * @property {EventTarget | undefined} events   fires online, offline, pageshow, visibilitychange
 *
 * @typedef {object} RunContext           TanStack's RunAgentInputContext
 * @property {string} [threadId]
 * @property {string} [runId]
 * @property {string} [parentRunId]
 * @property {unknown[]} [clientTools]
 * @property {unknown} [resume]
 * @property {Record<string, unknown>} [forwardedProps]
 * @property {Record<string, string>} [headers]
 *
 * @typedef {object} SubscribeConnection  TanStack's SubscribeConnectionAdapter
 * @property {(signal?: AbortSignal) => AsyncIterable<Chunk>} subscribe
 * @property {(messages: any[], data?: Record<string, any>, signal?: AbortSignal, run?: RunContext) => Promise<void>} send
 *
 * @typedef {object} DurableExtras        what our own client reads besides
 * @property {string | undefined} offset
 * @property {(signal?: AbortSignal) => AsyncIterable<Batch>} subscribeBatches
 * @property {(listener: (status: ConnectionStatus) => void) => () => void} onStatus
 * @property {() => void} retryNow
 *
 * @typedef {SubscribeConnection & DurableExtras} DurableConnection
 *
 * @typedef {object} Message              TanStack's UIMessage
 * @property {string} id
 * @property {string} role
 * @property {string} [name]
 * @property {any[]} parts
 * @property {Record<string, any>} [metadata]
 *
 * @typedef {object} RunInfo
 * @property {string} runId
 * @property {string} status
 * @property {string} [triggerId]         the user message it answers
 * @property {string[]} [messageIds]
 * @property {string} [agentId]
 * @property {string} [agentName]
 * @property {string} [code]
 * @property {string} [error]
 * @property {{participantId: string, name: string}} [stoppedBy]
 */

export {};
