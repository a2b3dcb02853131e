/**
 * Where in the cgroup v2 hierarchy this process is, and whether it may manage what is below: systemd's units and sessions,
 * containers with and without a namespace of their own, v2 beside v1. Synchronous; changes nothing; where there is no place
 * it says why, in words an operator can act on.
 */
import { accessSync, closeSync, constants, openSync, statSync } from "node:fs"
import { codeOf, readText } from "./Cgroup.ts"

/** The cgroup we are in, and may make groups in. */
export interface Found {
  readonly path: string
  /** Those its parent lets it hand on. */
  readonly controllers: ReadonlySet<string>
  /** Those the kernel keeps on a cgroup v1 hierarchy, where they cannot be handed on. */
  readonly legacy: ReadonlySet<string>
}

export interface Unavailable {
  readonly why: string
  readonly hint: string
}

/** What to read in place of the machine's own. */
export interface FindOptions {
  /** The text of /proc/self/cgroup. */
  readonly selfCgroup?: string
  /** The text of /proc/self/mountinfo. */
  readonly mountinfo?: string
  /** Put before every path of the hierarchy. */
  readonly root?: string
  /** Undefined where the path may be written, else the code. */
  readonly access?: (path: string) => string | undefined
}

export const DELEGATE =
  "run under systemd with Delegate=yes, for example systemd-run --user --scope -p Delegate=yes mister-smith run"
export const RUNTIME = "mister-smith-runtime-"

/**
 * The kernel's own answer for a file: one that is opened and not written to changes nothing. A directory cannot be asked
 * like that, and of root's access(2) is no answer: not every runtime calls it, some judge by the mode.
 */
const writable = (path: string): string | undefined => {
  try {
    if (!statSync(path).isDirectory()) closeSync(openSync(path, constants.O_WRONLY))
    else if (process.geteuid?.() !== 0) accessSync(path, constants.W_OK)
    return undefined
  } catch (error) {
    return codeOf(error)
  }
}

interface Mount {
  readonly point: string
  /** Which part of the hierarchy it shows. */
  readonly root: string
  readonly readOnly: boolean
}

/** The kernel writes space, tab, newline and backslash in octal. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw": the cgroup2 mounts that can be reached. */
const mountsIn = (mountinfo: string): ReadonlyArray<Mount> => {
  const mounts = new Map<string, Mount | undefined>()
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ")
    const [, , , root, point, options] = before?.split(" ") ?? []
    if (root === undefined || point === undefined || options === undefined || after === undefined) continue
    const [type, , superOptions] = after.split(" ")
    const readOnly = [options, superOptions ?? ""].some((text) => text.split(",").includes("ro"))
    // A later mount hides an earlier one at the same place, whatever its type.
    mounts.set(point, type === "cgroup2" ? { point: unescape(point), root: unescape(root), readOnly } : undefined)
  }
  return [...mounts.values()].filter((mount) => mount !== undefined)
}

/** Where a mount shows this cgroup; undefined where it shows another part. */
const placeIn = (mount: Mount, own: string): string | undefined => {
  const root = mount.root === "/" ? "" : mount.root
  if (own !== root && !own.startsWith(`${root}/`)) return undefined
  const below = own.slice(root.length)
  // "/../x" is beside the root of our cgroup namespace: no mount of ours leads there.
  if (below.split("/").includes("..")) return undefined
  return `${mount.point === "/" ? "" : mount.point}${below}`.replace(/\/+$/, "")
}

/** The cgroup that this process is in, where it may manage what is below. Changes nothing. */
export const findCgroup = (options: FindOptions = {}): Found | Unavailable => {
  const { access = writable, root = "" } = options
  const lines = (options.selfCgroup ?? readText("/proc/self/cgroup") ?? "").split("\n")
  // "0::/path" is cgroup v2; "5:memory:/path" a hierarchy of v1 with its controllers.
  const line = lines.find((line) => line.startsWith("0::"))
  const mounts = mountsIn(options.mountinfo ?? readText("/proc/self/mountinfo") ?? "")
  if (line === undefined || mounts.length === 0) {
    return {
      why: "cgroup v2 is not mounted here",
      hint: "boot with systemd.unified_cgroup_hierarchy=1, or mount it: mount -t cgroup2 none /sys/fs/cgroup/unified"
    }
  }
  const self = line.slice("0::".length)
  if (self.endsWith(" (deleted)")) {
    return { why: `our cgroup ${self} was removed under us`, hint: "start mister-smith again" }
  }
  // One that has made room for itself, and was then executed anew, manages the group above.
  const own = self.replace(new RegExp(`/${RUNTIME}[0-9]+$`), "")
  const places = mounts.flatMap((mount) => {
    const path = placeIn(mount, own)
    return path === undefined ? [] : [{ path: `${root}${path}` || "/", readOnly: mount.readOnly }]
  })
  const place = places.find(({ readOnly }) => !readOnly) ?? places[0]
  if (place === undefined) {
    return {
      why: `the cgroup v2 mount at ${mounts[0]?.point} does not show our cgroup ${self}`,
      hint: "in a container, give it a cgroup namespace of its own (docker run --cgroupns=private)"
    }
  }
  const { path, readOnly } = place
  const refused = readOnly ? "EROFS" : (access(path) ?? access(`${path}/cgroup.procs`))
  if (refused === "EROFS") {
    return {
      why: `the cgroup file system is mounted read-only at ${path}`,
      hint: "in a container, mount it writable (podman does with --security-opt unmask=/sys/fs/cgroup, docker with --privileged), or run outside of one"
    }
  }
  if (refused === "ENOENT") {
    return { why: `there is no cgroup at ${path}`, hint: "check that /sys/fs/cgroup is the machine's own" }
  }
  if (refused !== undefined) {
    return { why: `the cgroup ${path} belongs to someone else (${refused})`, hint: DELEGATE }
  }
  return {
    path,
    controllers: new Set(words(readText(`${path}/cgroup.controllers`))),
    legacy: new Set(
      lines.filter((line) => !line.startsWith("0::")).flatMap((line) => line.split(":")[1]?.split(",") ?? [])
    )
  }
}

export const words = (text: string | undefined): ReadonlyArray<string> =>
  text?.split(/\s+/).filter((word) => word !== "") ?? []
