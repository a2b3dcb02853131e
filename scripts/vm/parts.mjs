/**
 * What the virtual machine is made of, from Debian's packages: qemu is installed where it is not; a kernel and a static
 * busybox are only downloaded and unpacked, into ~/.cache/mister-smith/vm, so nothing of this machine's own boot changes.
 * Whatever cannot be had is a `Missing`: one sentence for the person who asked.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"

export class Missing extends Error {}

const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "mister-smith", "vm")

const call = (command, args, options = {}) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", ...options })
  return { ok: status === 0, text: stdout ?? "", why: error?.message ?? (stderr ?? "").trim().split("\n").at(-1) }
}

/** The command line that runs apt-get with the right to change this machine, or undefined. */
const apt = () => {
  if (process.getuid() === 0) return ["apt-get"]
  return call("sudo", ["-n", "true"]).ok ? ["sudo", "-n", "apt-get"] : undefined
}

const asRoot = (what, args) => {
  const command = apt()
  if (command === undefined)
    throw new Missing(`${what} is not here, and apt-get cannot be run: neither root nor sudo without a password`)
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  return call(command[0], [...command.slice(1), ...args], { env })
}

/** Lists that are older than the archive name files that are gone, so a failure is tried once more with fresh ones. */
const twice = (what, attempt) => {
  if (attempt().ok) return
  asRoot(what, ["update", "-qq"])
  const { ok, why } = attempt()
  if (!ok) throw new Missing(`${what} could not be had from Debian's packages: ${why}`)
}

const qemu = () => {
  const path = () => call("sh", ["-c", "command -v qemu-system-x86_64"]).text.trim()
  if (path() !== "") return path()
  console.error("installing qemu-system-x86 from Debian's packages")
  const args = ["install", "-y", "-qq", "--no-install-recommends", "qemu-system-x86"]
  twice("qemu-system-x86", () => asRoot("qemu-system-x86", args))
  if (path() === "") throw new Missing("qemu-system-x86 was installed, but there is no qemu-system-x86_64 on PATH")
  return path()
}

/** Downloads a package and unpacks it into the cache; two that do so at once do not disturb each other. */
const unpack = (name, find) => {
  const place = join(cache, name)
  if (existsSync(place)) return place
  console.error(`fetching ${name} from Debian's packages`)
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, "new-"))
  try {
    twice(name, () => call("apt-get", ["download", "-qq", find()], { cwd: work }))
    const file = readdirSync(work).find((entry) => entry.endsWith(".deb"))
    const { ok, why } = call("dpkg", ["-x", file, "tree"], { cwd: work })
    if (!ok) throw new Missing(`${name} could not be unpacked: ${why}`)
    if (!existsSync(place)) renameSync(join(work, "tree"), place)
    return place
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Debian's own kernel and not the smaller one for clouds, which can share no files over 9p. */
const kernelPackage = () =>
  /Depends: (linux-image-\S+)/.exec(call("apt-cache", ["depends", "linux-image-amd64"]).text)?.[1] ??
  "linux-image-amd64"

export const parts = () => {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Missing(`this virtual machine is for Linux on x86-64, not for ${process.platform} on ${process.arch}`)
  for (const program of ["apt-get", "dpkg", "setpriv"])
    if (!call(program, ["--version"]).ok) throw new Missing(`${program} is not here, and the virtual machine needs it`)
  const linux = unpack("linux-image-amd64", kernelPackage)
  const busybox = unpack("busybox-static", () => "busybox-static")
  const modules = ["lib/modules", "usr/lib/modules"].map((folder) => join(linux, folder)).find(existsSync)
  const image = readdirSync(join(linux, "boot")).find((entry) => entry.startsWith("vmlinuz-"))
  const shell = ["bin/busybox", "usr/bin/busybox"].map((file) => join(busybox, file)).find(existsSync)
  return { qemu: qemu(), kernel: join(linux, "boot", image), modules, busybox: shell }
}
