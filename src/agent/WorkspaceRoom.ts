/** How much room a directory takes, and whether there are repositories within it. Follows no link. */
import { lstat, opendir } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"

/** Entries that are looked at. Of a larger directory nothing is known for sure. */
const MAX_ENTRIES = 2_000_000

export interface Room {
  /** On the disk. */
  readonly bytes: number
  /** A repository, or a worktree of one, within; not itself. */
  readonly nested: string | undefined
  /** It was too large to be looked through. */
  readonly cut: boolean
}

export const look = (path: string): Effect.Effect<Room> =>
  Effect.promise(async () => {
    let bytes = 0
    let nested: string | undefined
    let entries = 0
    const waiting = [path]
    for (let here = waiting.pop(); here !== undefined; here = waiting.pop()) {
      try {
        for await (const entry of await opendir(here)) {
          if (++entries > MAX_ENTRIES) return { bytes, nested, cut: true }
          const each = join(here, entry.name)
          if (entry.name === ".git" && here !== path) nested ??= here
          if (entry.isDirectory()) waiting.push(each)
          else {
            const stat = await lstat(each)
            bytes += stat.blocks * 512
          }
        }
      } catch {
        // Gone meanwhile, or not ours to read.
      }
    }
    return { bytes, nested, cut: false }
  })
