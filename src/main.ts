/**
 * Entry for Bun and Deno alike: argv in, exit code out; supplies the platform and hears the signals. What a command
 * needs is loaded only when it is called, so that `version` costs no more than an empty program.
 */
import { VERSION } from "./domain/Version.ts"

const args = process.argv.slice(2)

if (args.length === 1 && (args[0] === "version" || args[0] === "--version")) {
  console.log(VERSION)
} else {
  const [{ start }, NodeServices] = await Promise.all([
    import("./cli/start.ts"),
    import("@effect/platform-node/NodeServices")
  ])
  start(args, NodeServices.layer)
}
