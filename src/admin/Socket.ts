/** Where a node can be reached: a Unix socket in its data directory. Whoever may open it may do everything. */
import { join } from "node:path"

/** What the kernel takes as the path of a socket, in bytes. */
export const MAX_PATH = 107

export const socketIn = (dataDir: string): string => join(dataDir, "admin.sock")

export const tooLong = (path: string): boolean => Buffer.byteLength(path) > MAX_PATH
