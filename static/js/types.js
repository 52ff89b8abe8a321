/**
 * The shapes the browser modules pass to each other. Types only: no page ever loads this file, so they may be
 * told at length here.
 */

/**
 * @typedef {any} Chunk                   one AG-UI event
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
 * @typedef {string | URL | (() => string | URL)} UrlSource
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
 * @property {(messages: any[], data?: Record<string, any>, signal?: AbortSignal, run?: any) => Promise<void>} send
 *   `run` is a RunContext; others' adapters may need more of it than ours
 * @property {JoinRun} [joinRun]
 * @property {Hydrate} [hydrate]
 *
 * @typedef {object} DurableConnection    what our own pages use
 * @property {string | undefined} offset  where the next subscription begins
 * @property {(signal?: AbortSignal, how?: {offset?: string, patient?: boolean}) => AsyncGenerator<Batch, void, void>} follow
 *   the batches from there, or from another offset; the connection's own stays
 * @property {(signal?: AbortSignal) => AsyncIterable<Batch>} subscribeBatches   the same, and the offset goes along
 * @property {SubscribeConnection["send"]} send
 * @property {(listener: (status: ConnectionStatus) => void) => () => void} onStatus
 * @property {(status: ConnectionStatus) => void} report   to those who listen
 * @property {() => void} retryNow
 * @property {(runId: string) => boolean} [stop]   where no stopUrl is asked for it
 * @property {(messages: Message[]) => void} [setMessages]   where what is shown is what the server is told
 *
 * @typedef {object} Message              TanStack's UIMessage
 * @property {string} id
 * @property {string} role
 * @property {string} [name]
 * @property {any[]} parts
 * @property {Record<string, any>} [metadata]
 *
 * @typedef {object} Snapshot             of the reducer
 * @property {Message[]} messages
 * @property {string[]} activeRuns
 * @property {Record<string, any>} runs
 * @property {Record<string, any>} state
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
 * @property {any[]} [interrupts]         what it paused for
 * @property {any[]} [decisions]          what people have answered to that
 * @property {string} [continuedBy]       the run that goes on with the answers
 * @property {string} [supersededBy]      a newer run at the same message
 */

/**
 * What a reader of one stream knows (stream-state.js).
 *
 * @typedef {"catch-up" | "sse" | "long-poll" | "closed" | "gone"} Phase
 *
 * @typedef {object} StreamState
 * @property {Phase} phase
 * @property {string} offset            the last committed one
 * @property {string} [cursor]          echoed to the server
 * @property {boolean} upToDate
 * @property {any[]} pending            SSE data whose control event has not arrived
 * @property {number} controls          control events of this SSE response
 * @property {boolean} drained          its last word was a control event alone: the server let go of us
 * @property {number} failures          in a row
 * @property {boolean} resting          the last thing that happened was a failure
 * @property {number} shortLives        SSE responses in a row that ended under a second
 * @property {number} sseAfter          no SSE before (ms since the epoch)
 * @property {number} notBefore         no request before: the server's Retry-After
 * @property {string} askedKey          the last request,
 * @property {number} askedAt           when it began,
 * @property {number} repeats           and how often it was answered at once and had to be asked again
 * @property {Batch} [batch]            what the last event committed
 * @property {{status: number, code?: string, error?: string}} [refusal]
 *
 * @typedef {{items: any[], offset?: string, cursor?: string, upToDate: boolean, closed: boolean}} Page
 * @typedef {{key: string, at: number, repeats: number, query: Record<string, string>}} Plan
 *
 * What can happen: a request went out ("asked"); a whole reply came ("page"); SSE brought "data" and
 * "control", brought no control event in time ("silent") or "ended", having lived so many ms since its
 * headers; there was no reply, an error or a cut ("failed", with Retry-After as floor); we let go of a
 * connection that may be dead ("dropped"), or to ask for something else ("changed"); the stream is not there yet
 * ("absent"); the server will not have us ("refused").
 *
 * @typedef {{type: "asked", at: number, plan: Plan}
 *   | {type: "page", at: number} & Page
 *   | {type: "data", items: any[]}
 *   | {type: "control", at: number} & Omit<Page, "items">
 *   | {type: "silent", at: number}
 *   | {type: "ended", at: number, lived: number}
 *   | {type: "failed", at: number, floor?: number, lived?: number}
 *   | {type: "dropped", at: number}
 *   | {type: "changed", at: number}
 *   | {type: "absent", at: number}
 *   | {type: "refused", status: number, code?: string, error?: string}} StreamEvent
 */

/** @template {StreamEvent["type"]} T @typedef {(state: StreamState, event: Extract<StreamEvent, {type: T}>) => StreamState} Move */

/**
 * @typedef {object} FollowOptions
 * @property {UrlSource} url
 * @property {string} [offset]           the beginning unless given
 * @property {boolean} [patient]         a stream that is not there, without a word why, is one nobody has written to
 * @property {HeaderSource} [headers]
 * @property {RequestCredentials} [credentials]
 * @property {Fetch} [fetchClient]
 * @property {AbortSignal} [signal]
 * @property {(status: ConnectionStatus) => void} [onStatus]
 * @property {EventTarget} [nudges]      "retry" on it means: try now; "reopen": there is something else to ask for
 * @property {number} [ping]             ms between two pings of the server
 * @property {Environment} [env]
 *
 * @typedef {object} Dialect             how requests ask, and how replies are read
 * @property {(query: Record<string, string>) => Record<string, string>} query
 * @property {(response: Response, heard: () => void) => Promise<Page>} page
 * @property {(event: import("./sse-parser.js").SseEvent) => (StreamEvent | Omit<StreamEvent, "at">)[]} events
 *
 * @typedef {object} DurableConnectionOptions
 * @property {UrlSource} sendUrl
 * @property {UrlSource} [readUrl]       the same as sendUrl unless given
 * @property {string} [initialOffset]    of the snapshot the page was rendered from
 * @property {Record<string, any>} [body]   sent along with every message's data
 * @property {HeaderSource} [headers]    asked for at every request
 * @property {RequestCredentials} [credentials]
 * @property {Fetch} [fetchClient]       for reads and writes
 * @property {number} [ping]             ms between two pings of the server
 * @property {Environment} [env]
 *
 * @typedef {object} PersistOptions
 * @property {Environment} env
 * @property {AbortSignal} signal
 * @property {EventTarget} nudges        "nudge" on it ends a pause, save one the server asked for
 * @property {() => boolean} connected   whether a failure now is this request's own
 * @property {() => boolean} [settled]   whether the answer has come another way
 */

/**
 * The connection adapters (connection-adapters.js).
 *
 * @typedef {object} TaggedChunk
 * @property {Chunk} chunk
 * @property {string} [id]                its place in its run, in the server's words
 * @property {string} [runId]             which run that is
 *
 * @typedef {(runId: string, signal?: AbortSignal) => AsyncIterable<Chunk>} JoinRun   a run from its beginning
 * @typedef {(threadId: string, options?: {limit?: number, before?: string}) => Promise<any>} Hydrate
 *
 * @typedef {object} ConnectionHandlers   what a connection may offer besides
 * @property {JoinRun} [joinRun]
 * @property {Hydrate} [hydrate]
 *
 * @typedef {object} ConnectRun
 * @property {(messages: any[], data?: Record<string, any>, signal?: AbortSignal, run?: any) => AsyncIterable<Chunk>} connect
 *
 * @typedef {ConnectRun & ConnectionHandlers} ConnectConnection             TanStack's ConnectConnectionAdapter
 * @typedef {ConnectRun & Required<ConnectionHandlers>} ResumableConnection   TanStack's ResumableConnectConnectionAdapter
 * @typedef {ConnectConnection | SubscribeConnection} ConnectionAdapter
 *
 * @typedef {object} ReconnectOptions
 * @property {number} [maxAttempts]       in a row that bring nothing new (default 5)
 * @property {number} [delayMs]           before the first one (default 250)
 *
 * @typedef {object} FetchOptions
 * @property {HeaderSource} [headers]
 * @property {Record<string, any>} [body]   sent along with every message's data
 * @property {RequestCredentials} [credentials]
 * @property {Fetch} [fetchClient]        for reads and writes
 * @property {AbortSignal} [signal]       ends every request of the connection
 * @property {ReconnectOptions} [reconnect]
 * @property {number} [ping]              ms between two pings of the server, if it sends any: silence means a cut
 *
 * @typedef {FetchOptions | (() => FetchOptions | Promise<FetchOptions>)} FetchOptionsSource
 *
 * @typedef {object} WebSocketOptions
 * @property {string | string[]} [protocols]
 * @property {Record<string, any>} [body]   sent along with every message's data
 * @property {ReconnectOptions} [reconnect]
 * @property {typeof WebSocket} [WebSocketImpl]
 * @property {number} [ping]              ms between two pings of the server (default 30,000); silence means a cut
 *
 * @typedef {SubscribeConnection & {joinRun: JoinRun}} WebSocketConnection
 *
 * @typedef {object} TabsOptions          of what the tabs of a browser share
 * @property {string} name                the same in every tab; of one chat and one person
 * @property {number} [ping]              ms between two questions whether the leader is there (default 5,000)
 * @property {() => boolean} [quiet]      while true, this tab asks an eighth as often
 * @property {LockManager} [locks]
 * @property {typeof BroadcastChannel} [Channel]
 *
 * @typedef {object} LiveOptions          of the one connection of a browser
 * @property {string} url                 of the live reply
 * @property {Fetch} fetchClient
 * @property {number} [ping]              ms between two pings of the server
 * @property {Environment} env
 * @property {(message: {type: string} & Record<string, any>) => void} publish
 * @property {(status: ConnectionStatus) => void} onStatus
 *
 * @typedef {object} HubOptions           of the tabs of one person
 * @property {string} name                the same in every tab of this person, and in no other
 * @property {string} url                 of the live reply
 * @property {number} [ping]              ms between two pings of the server
 * @property {number} [ask]               ms between two questions whether the leader is there (default 700)
 * @property {Fetch} [fetchClient]
 * @property {Environment} [env]
 * @property {LockManager} [locks]
 * @property {typeof BroadcastChannel} [Channel]
 *
 * @typedef {object} DurableStreamExtras  what durableStreamConnection() takes besides
 * @property {boolean} [emitSnapshotOnSubscribe]   without an initial offset: first all that is there, as one
 *   MESSAGES_SNAPSHOT and the chunks of what is being written (default true)
 * @property {any} [snapshot]             of the reducer at `initialOffset`: is what the first subscription begins with
 * @property {UrlSource} [stopUrl]        asked to stop a run whose send is aborted; nobody is asked unless given
 * @property {string} [chatId]            and in which chat
 * @property {AbortSignal} [signal]       ends every request of the connection
 */

/**
 * A message on its way; one per attempt to have it answered (chat-session.js).
 *
 * @typedef {object} Delivery
 * @property {string} runId
 * @property {Message} message
 * @property {boolean} again             the message is in the stream already; only the run is new
 * @property {string} [parentRunId]      the run that paused,
 * @property {any[]} [resume]            and the answers it goes on with
 * @property {Record<string, any>} [data]
 * @property {"sending" | "sent" | "failed"} state
 * @property {Error} [error]
 * @property {AbortController} controller
 *
 * @typedef {object} ChatSessionOptions
 * @property {DurableConnection} connection
 * @property {any} [snapshot]            of the reducer, as the page carries it
 * @property {{id: string, name: string, hue?: number}} me
 * @property {string} chatId
 * @property {string} [stopUrl]          unless the connection stops runs
 * @property {any} [tab]                 sessionStorage, if a tab that is loaded again may still run its tools
 * @property {import("./client-tools.js").ClientTool[]} [tools]   that runs sent from here may ask for
 * @property {Promise<import("./outbox.js").Outbox>} [outbox]   keeps what is said until it is answered; without one,
 *   or if it fails, the session does so as long as it lives
 * @property {HeaderSource} [headers]
 * @property {Fetch} [fetchClient]
 * @property {Environment} [env]
 * @property {() => string} [ids]
 */

/**
 * The outbox (outbox.js).
 *
 * @typedef {object} Parcel               a message that no server has answered for good
 * @property {string} id                  the message's, which makes repeats harmless
 * @property {string} runId
 * @property {string} chatId
 * @property {number} at                  its place among all of this person
 * @property {Message} message            as it is shown
 * @property {string} url                 where it goes,
 * @property {Record<string, any>} body   and what
 * @property {"sending" | "sent" | "failed" | "dropped"} state   those that are kept are sending or failed
 * @property {string} [error]
 * @property {number} [status]            of the refusal
 * @property {boolean} [own]              this page sends it in place of one that is gone
 *
 * @typedef {object} ParcelStore
 * @property {(parcel: Parcel) => Promise<unknown>} put
 * @property {(id: string) => Promise<unknown>} remove
 * @property {() => Promise<Parcel[]>} all
 *
 * @typedef {object} OutboxOptions
 * @property {string} participantId       whose it is: nobody else in this browser sees it
 * @property {string} [chatId]            of the page, if it has one,
 * @property {string} [sendUrl]           and its endpoint
 * @property {() => boolean} [connected]  whether a failure now is the message's own
 * @property {ParcelStore} [store]
 * @property {LockManager | undefined} [locks]
 * @property {typeof BroadcastChannel} [Channel]
 * @property {Fetch} [fetchClient]
 * @property {Environment} [env]
 */

/**
 * The chat client (chat-client.js).
 *
 * @typedef {"ready" | "submitted" | "streaming" | "error"} ChatStatus
 * @typedef {"send" | "queue" | "drop" | "interrupt"} WhenBusy
 *
 * @typedef {object} SendOptions
 * @property {WhenBusy} [whenBusy]       for this message
 * @property {Record<string, any>} [body]   for the agent
 *
 * @typedef {object} QueuedMessage
 * @property {string} id                 the message's
 * @property {{content: string | any[], metadata?: Record<string, any>}} content
 * @property {Record<string, any>} [body]
 * @property {number} createdAt
 *
 * @typedef {ChatSessionOptions & {whenBusy?: WhenBusy}} ChatClientOptions
 */

export {};
