/**
 * Entry for Bun and Deno alike: argv in, exit code out; supplies the platform and hears the signals. What a command
 * needs is loaded only when it is called, so that `version` costs no more than an empty program.
 */
import { VERSION } from "./domain/Version.ts"

const args = process.argv.slice(2)

if (args.length === 1 && (args[0] === "version" || args[0] === "--version")) {
  console.log(VERSION)
} else {
  const [{ start }, checking] = await Promise.all([
    import("./cli/start.ts"),
    args[0] === "check" ? quickCheck() : undefined
  ])
  if (checking !== undefined) start(checking)
  else {
    const [{ main }, { killAll }, NodeServices] = await Promise.all([
      import("./cli/cli.ts"),
      import("./process/ProcessTree.ts"),
      import("@effect/platform-node/NodeServices")
    ])
    const http = {
      server: async () => (await import("@effect/platform-node/NodeHttpServer")).layer,
      client: async () => (await import("@effect/platform-node/NodeHttpClient")).layerNodeHttpOptions
    }
    // Who has read enough has not failed; but the code of these two says how tasks ended, and that is not known.
    const unread = args[0] === "run" || args[0] === "submit" ? 1 : 0
    start(main(args, NodeServices.layer, http), { killAll, streams: [process.stdout, process.stderr], unread })
  }
}

/** `check`, which editors and hooks call often, with nothing loaded that it does not use. */
async function quickCheck() {
  return (await import("./cli/quickCheck.ts")).quickCheck(args)
}
