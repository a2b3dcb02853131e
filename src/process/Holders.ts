/** Whose working directory lies within a directory: any process whose own is ours to see, whoever started it. */
import { readdirSync, readlinkSync } from "node:fs"
import { sep } from "node:path"

/** Pids. `path` is without links. Empty where the system has no /proc. */
export const holdersOf = (path: string): ReadonlyArray<number> => {
  const inside = `${path}${sep}`
  let names: ReadonlyArray<string> = []
  try {
    names = readdirSync("/proc")
  } catch {
    return []
  }
  return names.flatMap((name) => {
    if (!/^[1-9]\d*$/.test(name)) return []
    try {
      const cwd = readlinkSync(`/proc/${name}/cwd`)
      return cwd === path || cwd.startsWith(inside) ? [Number(name)] : []
    } catch {
      return [] // gone meanwhile, or another user's
    }
  })
}
