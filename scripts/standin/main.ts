/**
 * The stand-in as a program: `bun scripts/standin/main.ts [--port N] [--script FILE] [--log FILE --name NAME]`. Prints its
 * address as one JSON line and serves until it is told to stop, or until its stdin ends, so that it cannot outlive who started it.
 * In the log is a line for each call of the model, before it is answered: when, by which name, and the end of what was said.
 */
import { appendFileSync, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import type { Rule } from "./Script.ts"
import { type RecordedRequest, startStandin } from "./Standin.ts"

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    script: { type: "string" },
    log: { type: "string" },
    name: { type: "string", default: "call" }
  }
})
const { log, name } = values
let calls = 0
const called = (file: string) => (request: RecordedRequest) => {
  const call = `${name}-${++calls}`
  appendFileSync(file, `${JSON.stringify({ call, at: Date.now(), path: request.path, said: request.said })}\n`)
  return call
}
const rules =
  values.script === undefined ? [] : (JSON.parse(readFileSync(values.script, "utf8")) as ReadonlyArray<Rule>)
const standin = await startStandin({
  rules,
  ...(log === undefined ? {} : { called: called(log) }),
  ...(values.port === undefined ? {} : { port: Number(values.port) })
})
console.log(JSON.stringify({ url: standin.url }))
const stop = () => process.exit(0)
process.on("SIGTERM", stop)
process.on("SIGINT", stop)
process.stdin.on("end", stop).on("close", stop).resume()
