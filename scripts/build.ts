/**
 * Builds `dist/mister-smith`: minified, as bytecode, with source maps, in chunks, so that a command loads only its own.
 * `bun scripts/build.ts`. With `--crash-points` it builds `dist/mister-smith-crash` beside it, which can be told where to
 * die (src/state/CrashPoint.ts) and is for tests only.
 */
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { BunPlugin } from "bun"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, "dist")
const crashPoints = process.argv.includes("--crash-points")

if (!crashPoints) rmSync(dist, { recursive: true, force: true })
mkdirSync(dist, { recursive: true })

/** A call of crashPoint; its name holds no parenthesis. */
const CALL = /\bcrashPoint\([^()]*\)/g

/** Takes every crash point out, with its name. A call that is written otherwise than they are fails the build. */
const withoutCrashPoints: BunPlugin = {
  name: "without-crash-points",
  setup: (build) => {
    build.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, "utf8")
      if (path.endsWith("/CrashPoint.ts") || !contents.includes("crashPoint")) return { contents, loader: "ts" }
      const without = contents.replace(CALL, "void 0")
      if (/\bcrashPoint\b/.test(without.replace(/^import .*$/gm, "")))
        throw new Error(`${path}: a crash point is written as crashPoint("name") and nothing else`)
      return { contents: without, loader: "ts" }
    })
  }
}

process.chdir(dist)
const outfile = join(dist, crashPoints ? "mister-smith-crash" : "mister-smith")
const built = await Bun.build({
  entrypoints: [join(root, "src/main.ts")],
  compile: { outfile },
  minify: true,
  bytecode: true,
  format: "esm",
  splitting: true,
  naming: { chunk: "[name]-[hash].[ext]" },
  sourcemap: crashPoints ? "none" : "linked",
  define: { "process.env.MISTER_SMITH_CRASH_POINTS": crashPoints ? '"on"' : '"off"' },
  plugins: crashPoints ? [] : [withoutCrashPoints]
})
for (const message of built.logs) console.error(message)
if (!built.success) process.exit(1)
console.log(`${outfile} (${(statSync(outfile).size / 1e6).toFixed(0)} MB)`)
