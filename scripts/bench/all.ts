/** Runs every bench, one after the other, and prints what each prints: one JSON object a line. `npm run bench`, after a build. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { root } from "./measure.ts"

const here = join(root, "scripts", "bench")
const notBenches = new Set(["all.ts", "measure.ts"])
let failed = 0
for (const file of readdirSync(here)
  .filter((name) => name.endsWith(".ts") && !notBenches.has(name))
  .sort()) {
  const text = await Bun.file(join(here, file)).text()
  // A module that benches share says so by exporting.
  if (/^export /m.test(text)) continue
  const { exitCode } = Bun.spawnSync([process.execPath, join(here, file)], { stdout: "inherit", stderr: "inherit" })
  if (exitCode !== 0) failed++
}
process.exit(failed === 0 ? 0 : 1)
