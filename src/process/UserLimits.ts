/** What the system lets one process, or all of a user's, have. Undefined where it does not tell, or sets no bound. */
import { readFileSync } from "node:fs"

export interface UserLimits {
  /** Descriptors of one process. */
  readonly openFiles: number | undefined
  /** Processes and threads of one user together; root is not bound by it. */
  readonly processes: number | undefined
}

/** "Max open files            1024                 524288               files": name, soft and hard limit. */
const soft = (text: string, name: string): number | undefined => {
  const found = new RegExp(`^${name}\\s+(\\d+)\\s`, "m").exec(text)
  return found === null ? undefined : Number(found[1])
}

/** Of the text of /proc/[pid]/limits. */
export const parse = (text: string): UserLimits => ({
  openFiles: soft(text, "Max open files"),
  processes: soft(text, "Max processes")
})

/** Of this process, and what it starts. */
export const own = (): UserLimits => {
  try {
    return parse(readFileSync("/proc/self/limits", "latin1"))
  } catch {
    return parse("")
  }
}
