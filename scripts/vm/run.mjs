/**
 * `node scripts/vm/run.mjs [--unprivileged] [--seconds N] [--env NAME=VALUE] [--verbose] -- <command...>` runs a command
 * of this repository inside a small virtual machine, because limits that the kernel enforces can only be tested on a
 * kernel that has them: there the unified cgroup hierarchy is at /sys/fs/cgroup with every controller, and the command
 * stands where a systemd service with Delegate=yes would stand, in /sys/fs/cgroup/mister-smith.service.
 *
 * Promises: the guest sees this machine's files at the same paths and can change none of them (what it writes goes into
 * memory and is forgotten; /tmp is empty but for the repository); it has no network but loopback, 2 GB and 2 processors;
 * what the command prints is streamed here, and its exit code is ours. The machine is gone when this program is, however
 * it ends. 124: the time was up. 125: the machine ended without an answer. 77: something is missing, said in one sentence.
 *
 * With --unprivileged the command is an ordinary user, uid 1000, and the cgroup is delegated to it.
 */
import { spawn } from "node:child_process"
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { hostname, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { initramfs } from "./initramfs.mjs"
import { Missing, parts } from "./parts.mjs"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** The names of the guest's ports: its console, what the command prints, and what became of it. */
const PORTS = ["console", "stdout", "stderr", "verdict"]

/**
 * Whether KVM can run Debian's kernel. The device alone does not say so: where the processor shows neither vmx nor svm it
 * belongs to a hypervisor without hardware support (pvm), on which an ordinary kernel hangs as soon as it starts.
 */
const accelerated = () => {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK)
    return /^flags\s*:.* (vmx|svm)( |$)/m.test(readFileSync("/proc/cpuinfo", "utf8"))
  } catch {
    return false
  }
}

const asked = () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      unprivileged: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      seconds: { type: "string", default: "600" },
      env: { type: "string", multiple: true, default: [] }
    }
  })
  const seconds = Number(values.seconds)
  if (positionals.length === 0) throw new Error("say after -- which command to run")
  if (!(seconds > 0)) throw new Error(`--seconds ${values.seconds}: a number of seconds is wanted`)
  const bad = values.env.find((entry) => !/^\w+=/.test(entry))
  if (bad !== undefined) throw new Error(`--env ${bad}: NAME=VALUE is wanted`)
  return { ...values, seconds, command: positionals }
}

/** Listens on a Unix socket for the one that will call, and hands the connection to `take`. */
const listen = (path, take) =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      server.close()
      take(socket)
    })
    server.once("error", reject)
    server.listen(path, () => resolve(server))
  })

const arguments_ = ({ kernel, archive, folder, kvm }) => [
  ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
  ...["-machine", `q35,accel=${kvm ? "kvm:tcg" : "tcg"}`, "-cpu", "max", "-smp", "2", "-m", "2G"],
  ...["-kernel", kernel, "-initrd", archive],
  // Where the processor is emulated its clock is as good as any, but the kernel would take a slow one instead.
  ...["-append", `console=ttyS0 quiet panic=-1 cgroup_no_v1=all random.trust_cpu=on${kvm ? "" : " tsc=reliable"}`],
  ...["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"],
  ...["-device", "virtio-9p-pci,fsdev=host,mount_tag=host", "-device", "virtio-serial-pci"],
  ...PORTS.flatMap((name) => ["-chardev", `socket,id=${name},path=${join(folder, name)}`]),
  ...["-serial", "chardev:console"],
  ...PORTS.slice(1).flatMap((name) => ["-device", `virtserialport,chardev=${name},name=${name}`])
]

/** Runs the machine and answers with the command's exit code. */
const run = async ({ command, seconds, unprivileged, verbose, env }) => {
  const { qemu, kernel, modules, busybox } = parts()
  const folder = mkdtempSync(join(tmpdir(), "mister-smith-vm-"))
  const archive = join(folder, "initramfs")
  const heard = { console: "", verdict: "" }
  const servers = []
  let machine
  let timer
  const end = () => machine?.kill("SIGKILL")
  const stopped = new Promise((resolve) => {
    for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }))
      process.once(signal, () => resolve(code))
    timer = setTimeout(() => {
      console.error(`the virtual machine was ended: ${seconds} s were up`)
      resolve(124)
    }, seconds * 1000)
  })
  try {
    const guest = { root, command, unprivileged, env, hostname: hostname(), path: process.env["PATH"] }
    writeFileSync(archive, initramfs({ busybox, modules, guest }))
    const closed = []
    for (const name of PORTS) {
      const take = (socket) => {
        closed.push(new Promise((resolve) => socket.once("close", resolve)))
        socket.on("error", () => {})
        if (name === "stdout") socket.pipe(process.stdout, { end: false })
        else if (name === "stderr") socket.pipe(process.stderr, { end: false })
        else
          socket.setEncoding("utf8").on("data", (text) => {
            // Once the guest speaks, nothing looks into the folder any more: gone now, it is not left behind by a SIGKILL.
            if (heard[name] === "") rmSync(folder, { recursive: true, force: true })
            heard[name] = (heard[name] + text).slice(-65536)
            if (verbose && name === "console") process.stderr.write(text)
          })
      }
      servers.push(await listen(join(folder, name), take))
    }
    // The kernel ends the machine should this program be killed before it can.
    machine = spawn(
      "setpriv",
      ["--pdeathsig", "KILL", qemu, ...arguments_({ kernel, archive, folder, kvm: accelerated() })],
      {
        stdio: ["ignore", "inherit", "inherit"]
      }
    )
    const ended = new Promise((resolve, reject) => {
      machine.once("error", reject)
      machine.once("exit", (code, signal) => resolve({ code, signal }))
    })
    const code = await Promise.race([stopped, ended])
    if (typeof code === "number") {
      end()
      await ended
      return code
    }
    await Promise.all(closed)
    const verdict = /^exit (\d+)\n(?:left (.+)\n)?$/.exec(heard.verdict)
    if (verdict === null) {
      console.error(`the virtual machine ended without an answer; the last that its console said:\n${heard.console}`)
      return 125
    }
    if (verdict[2] !== undefined) console.error(`still alive when the command had ended: ${verdict[2]}`)
    return Number(verdict[1])
  } finally {
    clearTimeout(timer)
    end()
    for (const server of servers) server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  process.exitCode = await run(asked())
} catch (error) {
  console.error(error.message)
  process.exitCode = error instanceof Missing ? 77 : 2
}
