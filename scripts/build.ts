/**
 * Builds `dist/mister-smith`: minified, as bytecode, with source maps, in chunks, so that a command loads only its own.
 * `bun scripts/build.ts`
 */
import { mkdirSync, rmSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, "dist")
rmSync(dist, { recursive: true, force: true })
mkdirSync(dist, { recursive: true })

const outfile = join(dist, "mister-smith")
const build = Bun.spawnSync(
  [
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--splitting",
    "--sourcemap=linked",
    join(root, "src/main.ts"),
    "--outfile",
    outfile
  ],
  { cwd: dist, stdout: "inherit", stderr: "inherit" }
)
if (build.exitCode !== 0) process.exit(1)
console.log(`${outfile} (${(statSync(outfile).size / 1e6).toFixed(0)} MB)`)
