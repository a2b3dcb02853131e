/**
 * The stand-in as a program: `bun scripts/standin/main.ts [--port N] [--script FILE]`. Prints its address as one JSON line and serves
 * until it is told to stop, or until its stdin ends, so that it cannot outlive who started it.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import type { Rule } from "./Script.ts"
import { startStandin } from "./Standin.ts"

const { values } = parseArgs({ options: { port: { type: "string" }, script: { type: "string" } } })
const rules =
  values.script === undefined ? [] : (JSON.parse(readFileSync(values.script, "utf8")) as ReadonlyArray<Rule>)
const standin = await startStandin({ rules, ...(values.port === undefined ? {} : { port: Number(values.port) }) })
console.log(JSON.stringify({ url: standin.url }))
const stop = () => process.exit(0)
process.on("SIGTERM", stop)
process.on("SIGINT", stop)
process.stdin.on("end", stop).on("close", stop).resume()
