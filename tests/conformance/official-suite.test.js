// The protocol's own suite against the server at STREAMS_URL; test_official_suite.py starts both.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({
  baseUrl: process.env.STREAMS_URL,
  longPollTimeoutMs: 500,
  subscriptions: false,
});
