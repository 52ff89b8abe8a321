// The protocol's reference server, from npm: node node_stream_server.mjs PORT [DATA_DIR]
// Without a data directory it keeps its streams in memory.
import { DurableStreamTestServer } from "@durable-streams/server"

const [port, dataDir] = process.argv.slice(2)
await new DurableStreamTestServer({ host: "127.0.0.1", port: Number(port), dataDir }).start()
