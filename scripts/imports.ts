/**
 * Who may import whom. `bun scripts/imports.ts` lists every import that breaks a rule, with its place, and exits 1.
 *
 * The rooms stand in layers: downwards is allowed, upwards never; sideways between mechanisms is allowed, but never in a
 * circle. A few packages may be named in one place only.
 */
import { readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { Glob } from "bun"

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** From the top down. A room may import the rooms of its own line where `sideways` says so, and any below. */
const layers: ReadonlyArray<{ readonly rooms: ReadonlyArray<string>; readonly sideways: boolean }> = [
  { rooms: ["main.ts", "index.ts"], sideways: false },
  { rooms: ["cli"], sideways: false },
  { rooms: ["MisterSmith.ts"], sideways: false },
  { rooms: ["config"], sideways: false },
  { rooms: ["admin"], sideways: false },
  { rooms: ["fleet", "task", "health"], sideways: true },
  { rooms: ["agent"], sideways: false },
  { rooms: ["claude"], sideways: false },
  { rooms: ["process"], sideways: false },
  {
    rooms: ["supervision", "transport", "message", "state", "tool", "security", "resource", "event", "observability"],
    sideways: true
  },
  { rooms: ["domain"], sideways: false }
]

/** Packages that only some files may name. */
const confined: ReadonlyArray<{ readonly package: RegExp; readonly to: RegExp; readonly why: string }> = [
  { package: /^@effect\/platform-/, to: /^main\.ts$/, why: "only main.ts names a platform package" },
  { package: /^effect\/cli/, to: /^cli\//, why: "only cli/ knows the command line" },
  {
    package: /^(nats(\/.*)?|@nats-io\/.*)$/,
    to: /^(transport\/Nats(Transport|Link|Message|Socket|Security|Buffer|Parser)|.*\/JetStream\w+|fleet\/.*)\.ts$/,
    why: "only the NATS adapters name a NATS package"
  },
  { package: /^nkeys\.js$/, to: /^message\/NKey\.ts$/, why: "only message/NKey.ts reads the keys of NATS" },
  { package: /^node:child_process$|^bun$/, to: /^process\//, why: "only process/ starts processes" },
  { package: /^node:sqlite$/, to: /^state\//, why: "only state/ opens the database" }
]

const levelOf = (room: string) => layers.findIndex(({ rooms }) => rooms.includes(room))
const roomOf = (file: string) => file.split("/")[0] ?? file

export interface Breach {
  readonly file: string
  readonly line: number
  readonly imports: string
  readonly why: string
}

/** Every breach among these files, given as path below src/ and text. */
export const breaches = (files: ReadonlyMap<string, string>): ReadonlyArray<Breach> => {
  const found: Array<Breach> = []
  const uses = new Map<string, Set<string>>()
  for (const [file, text] of files) {
    const room = roomOf(file)
    const level = levelOf(room)
    if (level < 0) {
      found.push({ file, line: 1, imports: room, why: "no such room: see the list in scripts/imports.ts" })
      continue
    }
    for (const match of text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^"'`;]*?from\s+"([^"]+)"|import\("([^"]+)"\)|(?:^|\n)import\s+"([^"]+)"/g
    )) {
      const target = match[1] ?? match[2] ?? match[3] ?? ""
      const line = text.slice(0, (match.index ?? 0) + match[0].length).split("\n").length
      const breach = (why: string) => found.push({ file, line, imports: target, why })
      if (!target.startsWith(".")) {
        const rule = confined.find((rule) => rule.package.test(target) && !rule.to.test(file))
        if (rule !== undefined) breach(rule.why)
        if (room === "domain" && !/^effect(\/|$)/.test(target)) breach("domain/ imports only effect")
        continue
      }
      const path = relative("/src", resolve("/src", dirname(file), target))
      if (path.startsWith("..")) {
        if (!path.endsWith("package.json")) breach("outside of src/")
        continue
      }
      if (!path.endsWith(".ts")) breach("imports name the file, with .ts")
      const other = roomOf(path)
      if (other === room) continue
      const otherLevel = levelOf(other)
      if (otherLevel < level) breach(`${room} must not know ${other}`)
      else if (otherLevel === level && !layers[level]?.sideways) breach(`${room} must not know ${other}`)
      uses.set(room, (uses.get(room) ?? new Set()).add(other))
    }
  }
  for (const circle of circles(uses)) {
    found.push({
      file: circle.join(" → "),
      line: 1,
      imports: circle[0] ?? "",
      why: "rooms import each other in a circle"
    })
  }
  return found
}

const circles = (uses: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyArray<ReadonlyArray<string>> => {
  const found: Array<ReadonlyArray<string>> = []
  const done = new Set<string>()
  const visit = (room: string, path: ReadonlyArray<string>) => {
    const at = path.indexOf(room)
    if (at >= 0) return void found.push([...path.slice(at), room])
    if (done.has(room)) return
    for (const next of uses.get(room) ?? []) visit(next, [...path, room])
    done.add(room)
  }
  for (const room of uses.keys()) visit(room, [])
  return found
}

if (import.meta.main) {
  const files = new Map<string, string>()
  for (const file of new Glob("**/*.ts").scanSync(join(root, "src")))
    files.set(file, readFileSync(join(root, "src", file), "utf8"))
  const found = breaches(files)
  for (const { file, imports, line, why } of found) console.error(`src/${file}:${line}: ${imports}: ${why}`)
  console.log(`imports: ${files.size} files, ${found.length} breaches`)
  process.exit(found.length === 0 ? 0 : 1)
}
