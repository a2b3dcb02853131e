/**
 * What the guest's kernel unpacks and starts: busybox, the few modules that Debian's kernel needs to reach the shared
 * files and its ports, init.sh and main.sh, and the command as a script. A cpio archive, written here because it is
 * simpler than asking for a program that writes it.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

const MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"]

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`

/** One entry of a cpio archive of the kind the kernel reads ("newc"): header, name, content, each filled up to four bytes. */
const entry = (name, mode, content = Buffer.alloc(0)) => {
  const fields = [0, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0]
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`
  const fill = (length) => Buffer.alloc((4 - (length % 4)) % 4)
  return Buffer.concat([Buffer.from(head), fill(head.length), content, fill(content.length)])
}

const DIRECTORY = 0o040755
const PROGRAM = 0o100755
const FILE = 0o100644

const plain = (name) => name.replaceAll("-", "_").replace(/\.ko(\.\w+)?$/, "")

const read = (file) => {
  const unpack = { xz: "xz", zst: "zstd", gz: "gzip" }[file.split(".").at(-1)]
  return unpack ? execFileSync(unpack, ["-dc", file], { maxBuffer: 2 ** 28 }) : readFileSync(file)
}

/** The modules with all they depend on, each after what it needs. One that has no file is part of the kernel itself. */
const collect = (folder) => {
  const files = readdirSync(folder, { recursive: true }).filter((file) => /\.ko(\.\w+)?$/.test(file))
  const places = new Map(files.map((file) => [plain(basename(file)), join(folder, file)]))
  const found = new Map()
  const add = (name) => {
    const place = places.get(name)
    if (place === undefined || found.has(name)) return
    const content = read(place)
    const at = content.indexOf("\0depends=")
    const needs = at < 0 ? "" : content.toString("latin1", at + 9, content.indexOf(0, at + 9))
    for (const other of needs.split(",").filter(Boolean)) add(plain(other))
    found.set(name, content)
  }
  MODULES.forEach(add)
  return found
}

/** The command and what it is told, as a script for the guest's shell. */
const script = ({ root, command, unprivileged, env, hostname, path }) => {
  const home = unprivileged ? "/home/smith" : "/root"
  const user = unprivileged ? "smith" : "root"
  const told = [`PATH=${path}`, `HOME=${home}`, `USER=${user}`, `LOGNAME=${user}`, "LANG=C.UTF-8", "TERM=dumb", ...env]
  return [
    `ROOT=${quote(root)}`,
    `HOSTNAME=${quote(hostname)}`,
    `UNPRIVILEGED=${unprivileged ? 1 : ""}`,
    `command() { exec "$@" /usr/bin/env -i ${[...told, ...command].map(quote).join(" ")}; }\n`
  ].join("\n")
}

export const initramfs = ({ busybox, modules, guest }) => {
  const here = (name) => readFileSync(new URL(name, import.meta.url))
  const found = collect(modules)
  return Buffer.concat([
    ...["bin", "dev", "proc", "sys", "modules", "lower", "scratch", "new", "hold"].map((name) =>
      entry(name, DIRECTORY)
    ),
    entry("bin/busybox", PROGRAM, readFileSync(busybox)),
    ...[...found].map(([name, content]) => entry(`modules/${name}.ko`, FILE, content)),
    entry("modules/order", FILE, Buffer.from([...found.keys()].join("\n"))),
    entry("init", PROGRAM, here("init.sh")),
    entry("main.sh", FILE, here("main.sh")),
    entry("command.sh", FILE, Buffer.from(script(guest))),
    entry("TRAILER!!!", 0)
  ])
}
