// The reference server of the npm package @durable-streams/server, for comparison.
// node node_server.mjs PORT FOLDER_WITH_NODE_MODULES [DATA_DIR]; without DATA_DIR it keeps streams in memory.
import { createRequire } from "node:module"
import { join } from "node:path"

const [port, folder, dataDir] = process.argv.slice(2)
const { DurableStreamTestServer } = createRequire(join(folder, "package.json"))("@durable-streams/server")
await new DurableStreamTestServer({ host: "127.0.0.1", port: Number(port), dataDir }).start()
