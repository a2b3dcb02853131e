/** Whatever is answered, the config that comes of it passes the checks. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { PermissionMode } from "../../src/agent/AgentSpec.ts"
import * as Load from "../../src/config/Load.ts"
import { CREDENTIALS, starter } from "../../src/config/Starter.ts"
import { tempDir } from "../utils/Binary.ts"

it.effect("passes the checks with every combination of answers, and says what was answered", () =>
  Effect.gen(function* () {
    using dir = tempDir()
    mkdirSync(join(dir.path, "code"))
    writeFileSync(join(dir.path, "key"), "sk-from-a-file\n")
    const file = join(dir.path, "mister-smith.json")
    const env = { THE_KEY: "sk-from-the-environment" }
    let tried = 0
    for (const agents of [1, 3])
      for (const workspace of [undefined, "code"])
        for (const model of [undefined, "sonnet"])
          for (const credential of [undefined, { env: "THE_KEY" }, { file: "key" }])
            for (const as of CREDENTIALS)
              for (const permissions of PermissionMode.literals) {
                const said = { name: "n", agent: "worker", agents, workspace, model, credential, as, permissions }
                writeFileSync(file, JSON.stringify(starter(said, "./s.json")))
                const config = yield* Load.load(file, env)
                assert.deepInclude(config.agents[0], {
                  replicas: agents,
                  permissions: { mode: permissions, allow: [], deny: [] }
                })
                assert.strictEqual(config.claude.model, model)
                assert.deepStrictEqual(Object.keys(config.claude.env), credential === undefined ? [] : [as])
                tried++
              }
    assert.strictEqual(tried, 2 * 2 * 2 * 3 * 3 * PermissionMode.literals.length)
  })
)
