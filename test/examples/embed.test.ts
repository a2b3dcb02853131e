/** The example programs do what they say. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, it } from "vitest"
import { processesWith, root } from "../utils/Binary.ts"
import { fake, fleet } from "../utils/Fleet.ts"

it("a program embeds a node and gets a task's result as a value", async () => {
  await using it = await fleet()
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(root, "test/examples/embed.ts"), fake({ text: "embedded" })],
    {
      cwd: root,
      env: {
        PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}`,
        HOME: it.dir,
        DATA_DIR: join(it.dir, "data"),
        ANTHROPIC_BASE_URL: it.standin.url,
        ANTHROPIC_API_KEY: "k"
      }
    }
  )
  assert.deepInclude(JSON.parse(stdout), { status: "succeeded", text: "embedded" })
  assert.deepStrictEqual(processesWith(it.dir), [])
})
