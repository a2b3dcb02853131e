import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConfigInvalid, ConfigUnreadable } from "../../src/config/ConfigError.ts"
import { dataDirOf } from "../../src/config/DataDirOf.ts"
import { Files } from "../../src/config/Files.ts"

const at = (text: string, env: Record<string, string> = {}) =>
  Effect.provideService(dataDirOf("/etc/fleet/node.json", env), Files, {
    stat: () => Effect.fail("there is no such file"),
    read: (file) =>
      file === "/etc/fleet/node.json"
        ? Effect.succeed(new TextEncoder().encode(text))
        : Effect.fail("there is no such file")
  })

it.effect("is beside the config, or where the config or the environment says, as for the node itself", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* at("{}"), "/etc/fleet/.mister-smith")
    assert.strictEqual(yield* at('{"dataDir":"../state"}'), "/etc/state")
    assert.strictEqual(yield* at('{"dataDir":"/var/lib/node"}'), "/var/lib/node")
    assert.strictEqual(yield* at('{"dataDir":"x"}', { MISTER_SMITH__DATA_DIR: "/elsewhere" }), "/elsewhere")
  })
)

it.effect("is found in spite of whatever else is wrong with the config, or secret in it", () =>
  Effect.gen(function* () {
    const text = '{"dataDir":"here","agents":[],"nmae":1,"claude":{"env":{"KEY":{"env":"NOT_SET_HERE"}}}}'
    assert.strictEqual(yield* at(text), "/etc/fleet/here")
  })
)

it.effect("is not guessed where the config cannot be read", () =>
  Effect.gen(function* () {
    assert.instanceOf(yield* Effect.flip(at('{"dataDir":')), ConfigInvalid)
    const absent = yield* Effect.flip(Effect.provideService(dataDirOf("/absent.json", {}), Files, absentFiles))
    assert.instanceOf(absent, ConfigUnreadable)
  })
)

const absentFiles: (typeof Files)["Service"] = {
  stat: () => Effect.fail("there is no such file"),
  read: () => Effect.fail("there is no such file")
}
