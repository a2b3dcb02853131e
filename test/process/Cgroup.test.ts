import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { afterAll, beforeAll } from "vitest"
import { type Group, group, killOneByOne } from "../../src/process/Cgroup.ts"
import { type Found, findCgroup } from "../../src/process/CgroupPlace.ts"
import { type Controller, openSubtree, type Subtree, sweepSubtrees } from "../../src/process/CgroupTree.ts"
import * as ProcessTable from "../../src/process/ProcessTable.ts"

/** A directory with these files, and what findCgroup says of it. */
const findIn = (
  selfCgroup: string,
  mountinfo: string,
  files: Record<string, string> = {},
  access: (path: string) => string | undefined = () => undefined
) => {
  const root = mkdtempSync(join(tmpdir(), "cgroup-layout-"))
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    const found = findCgroup({ selfCgroup, mountinfo, root, access: (path) => access(path.slice(root.length)) })
    if ("why" in found) return found
    return { path: found.path.slice(root.length), controllers: [...found.controllers], legacy: [...found.legacy] }
  } finally {
    rmSync(root, { recursive: true })
  }
}

const ROOT_FS = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
const UNIFIED = `${ROOT_FS}
31 22 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`

describe("findCgroup", () => {
  it("finds a system service with Delegate=yes", () => {
    const own = "/sys/fs/cgroup/system.slice/mister-smith.service"
    assert.deepStrictEqual(
      findIn("0::/system.slice/mister-smith.service\n", UNIFIED, {
        [`${own}/cgroup.controllers`]: "cpuset cpu io memory pids\n"
      }),
      { path: own, controllers: ["cpuset", "cpu", "io", "memory", "pids"], legacy: [] }
    )
  })

  it("finds a scope in a user's session, with the controllers that are handed to it", () => {
    const own = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1f.scope"
    const self = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1f.scope\n"
    assert.deepStrictEqual(findIn(self, UNIFIED, { [`${own}/cgroup.controllers`]: "memory pids\n" }), {
      path: own,
      controllers: ["memory", "pids"],
      legacy: []
    })
  })

  it("tells a user in a login session to ask for delegation", () => {
    const found = findIn("0::/user.slice/user-1000.slice/session-3.scope\n", UNIFIED, {}, () => "EACCES")
    assert.deepStrictEqual(found, {
      why: `the cgroup ${"why" in found ? (found.why.split(" ")[2] ?? "") : ""} belongs to someone else (EACCES)`,
      hint: "run under systemd with Delegate=yes, for example systemd-run --user --scope -p Delegate=yes mister-smith run"
    })
  })

  it("asks for leave to move processes, not only for leave to make groups", () => {
    const found = findIn("0::/a\n", UNIFIED, {}, (path) => (path.endsWith("/cgroup.procs") ? "EACCES" : undefined))
    assert.include("why" in found ? found.why : "", "belongs to someone else (EACCES)")
  })

  const docker = (options: string) => `1283 1168 0:251 / / rw,relatime master:300 - overlay overlay rw,lowerdir=/a:/b
1290 1289 0:30 / /sys/fs/cgroup ${options},nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
`
  it("says that plain docker mounts it read-only, and what helps", () => {
    const found = findIn("0::/\n", docker("ro"), { "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n" })
    assert.include("why" in found ? found.why : "", "read-only")
    assert.include("hint" in found ? found.hint : "", "--privileged")
  })

  it("finds the root of a container's cgroup namespace where it is writable", () => {
    assert.deepStrictEqual(
      findIn("0::/\n", docker("rw"), { "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n" }),
      { path: "/sys/fs/cgroup", controllers: ["cpu", "io", "memory", "pids"], legacy: [] }
    )
  })

  it("takes what is read-only for the file system for read-only too", () => {
    const found = findIn("0::/\n", "31 22 0:27 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 ro\n")
    assert.include("why" in found ? found.why : "", "read-only")
  })

  it("finds a podman container in the machine's cgroup namespace by the root of its mount", () => {
    const scope = "/machine.slice/libpod-4f2a.scope"
    const mountinfo = `812 811 0:27 ${scope} /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw\n`
    const files = {
      "/sys/fs/cgroup/container/cgroup.controllers": "memory\n",
      "/sys/fs/cgroup/cgroup.controllers": "pids\n"
    }
    assert.deepStrictEqual(findIn(`0::${scope}/container\n`, mountinfo, files), {
      path: "/sys/fs/cgroup/container",
      controllers: ["memory"],
      legacy: []
    })
    assert.deepStrictEqual(findIn(`0::${scope}\n`, mountinfo, files), {
      path: "/sys/fs/cgroup",
      controllers: ["pids"],
      legacy: []
    })
  })

  for (const [what, self, root] of [
    ["the mount shows another part", "0::/docker/4f2a", "/docker/4f2"],
    ["the mount is of a namespace above ours", "0::/", "/../.."],
    ["we are beside the root of our namespace", "0::/../other", "/"]
  ] as const) {
    it(`says so where ${what}`, () => {
      const found = findIn(`${self}\n`, `812 811 0:27 ${root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n`)
      assert.include("why" in found ? found.why : "", "does not show our cgroup")
    })
  }

  const hybrid = `${ROOT_FS}
31 22 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw
33 31 0:30 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:12 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:13 - cgroup cgroup rw,memory
`
  it("finds v2 beside v1, and knows what v1 has", () => {
    const self = "8:cpu,cpuacct:/user.slice\n7:memory:/user.slice\n1:name=systemd:/u\n0::/system.slice/ms.service\n"
    const own = "/sys/fs/cgroup/unified/system.slice/ms.service"
    assert.deepStrictEqual(findIn(self, hybrid, { [`${own}/cgroup.controllers`]: "\n" }), {
      path: own,
      controllers: [],
      legacy: ["cpu", "cpuacct", "memory", "name=systemd"]
    })
  })

  it("says so where there is v1 only", () => {
    const mountinfo = hybrid.split("\n").filter((line) => !line.includes("cgroup2"))
    const found = findIn("8:cpu,cpuacct:/\n1:name=systemd:/\n", mountinfo.join("\n"))
    assert.deepStrictEqual(found, findIn("", ""))
    assert.include("why" in found ? found.why : "", "not mounted")
  })

  it("reads a mount point with spaces, and does not take what another mount hides", () => {
    const spaced = "31 22 0:27 / /mnt/my\\040groups\\134x rw - cgroup2 cgroup2 rw\n"
    const found = findIn("0::/a b\n", spaced, { "/mnt/my groups\\x/a b/cgroup.controllers": "io\n" })
    assert.deepStrictEqual(found, { path: "/mnt/my groups\\x/a b", controllers: ["io"], legacy: [] })
    const hidden = `${UNIFIED}99 31 0:99 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n`
    assert.property(findIn("0::/\n", hidden), "why")
  })

  it("prefers a mount that is writable", () => {
    const two = `812 811 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n${UNIFIED.replaceAll("/sys/fs/cgroup", "/run/cg")}`
    assert.include(findIn("0::/\n", two), { path: "/run/cg" })
  })

  it("manages the group above the room that it has made for itself", () => {
    assert.include(findIn("0::/ms.service/mister-smith-runtime-77\n", UNIFIED), { path: "/sys/fs/cgroup/ms.service" })
    assert.include(findIn("0::/mister-smith-runtime-77\n", UNIFIED), { path: "/sys/fs/cgroup" })
  })

  it("says so where our cgroup was removed, or is not there", () => {
    assert.include(JSON.stringify(findIn("0::/a (deleted)\n", UNIFIED)), "was removed under us")
    assert.include(JSON.stringify(findIn("0::/a\n", UNIFIED, {}, () => "ENOENT")), "there is no cgroup at")
  })
})

/** The same questions put to files that only look like a cgroup: what is written, what is read. */
describe("a group's files", () => {
  const withFiles = <A>(files: Record<string, string>, use: (group: Group, read: (name: string) => string) => A): A => {
    const path = mkdtempSync(join(tmpdir(), "cgroup-files-"))
    try {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
      return use(group(path), (name) => readFileSync(join(path, name), "utf8"))
    } finally {
      rmSync(path, { recursive: true })
    }
  }
  const all = {
    "memory.max": "",
    "memory.high": "",
    "memory.swap.max": "",
    "cpu.max": "",
    "pids.max": "",
    "io.weight": ""
  }

  it("writes each limit as the kernel wants it, and the default for none", () => {
    withFiles(all, (group, read) => {
      const limits = { memoryMax: 1e9, memoryHigh: 9e8, swapMax: 0, cpus: 1.5, processes: 64, ioWeight: 50 }
      assert.deepStrictEqual(group.limit(limits), [])
      assert.deepStrictEqual(
        Object.keys(all).map((name) => read(name)),
        ["1000000000", "900000000", "0", "150000 100000", "64", "default 50"]
      )
    })
    withFiles(all, (group, read) => {
      assert.deepStrictEqual(group.limit({}), [])
      assert.deepStrictEqual(
        Object.keys(all).map((name) => read(name)),
        ["max", "max", "max", "max", "max", "default 100"]
      )
    })
  })

  it("uses the weight of BFQ where there is no other, on its own scale", () => {
    for (const [weight, written] of [
      [1, "default 1"],
      [100, "default 100"],
      [10_000, "default 1000"]
    ] as const) {
      withFiles({ "io.bfq.weight": "" }, (group, read) => {
        assert.deepStrictEqual(group.limit({ ioWeight: weight }), [])
        assert.strictEqual(read("io.bfq.weight"), written)
      })
    }
  })

  it("names the limits that could not be set, and sets the others", () => {
    withFiles({ "pids.max": "", "cgroup.controllers": "pids io\n" }, (group, read) => {
      const refused = group.limit({ memoryMax: 1e9, processes: 5, ioWeight: 7, cpus: Number.NaN })
      assert.deepStrictEqual(refused, [
        { limit: "memoryMax", why: "the memory controller is not enabled here" },
        { limit: "cpus", why: `NaN is not between 0.01 and ${Number.MAX_SAFE_INTEGER}` },
        { limit: "ioWeight", why: "this kernel has no io.weight and no io.bfq.weight" }
      ])
      assert.strictEqual(read("pids.max"), "5")
    })
  })

  it("reads usage and events, each undefined where there is no file", () => {
    const files = {
      "cpu.stat": "usage_usec 1234\nuser_usec 1000\nnr_throttled 3\n",
      "memory.current": "4096\n",
      "memory.peak": "8192\n",
      "pids.current": "2\n",
      "io.stat": "8:0 rbytes=100 wbytes=7 rios=1\n8:16 rbytes=11 wbytes=3 dbytes=9\n",
      "memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n",
      "pids.events": "max 5\n",
      "cgroup.events": "populated 1\nfrozen 1\n"
    }
    withFiles(files, (group) => {
      assert.deepStrictEqual(group.usage(), {
        cpuMicros: 1234,
        cpuThrottled: 3,
        memory: 4096,
        memoryPeak: 8192,
        processes: 2,
        ioRead: 111,
        ioWritten: 10
      })
      assert.deepStrictEqual(group.events(), { oom: 3, oomKill: 4, max: 2, high: 1, forksRefused: 5 })
      assert.isTrue(group.populated() && group.isFrozen())
    })
    withFiles({}, (group) => {
      assert.deepStrictEqual(new Set(Object.values(group.usage())), new Set([undefined]))
      assert.deepStrictEqual(new Set(Object.values(group.events())), new Set([undefined]))
      assert.isFalse(group.populated() || group.isFrozen())
    })
  })

  it("never signals itself for a process that has no pid here", () => {
    withFiles({ "cgroup.procs": "0\n0\n" }, (group) => {
      assert.deepStrictEqual(group.pids(), [])
      group.kill()
    })
  })

  it("answers calmly when the group is gone", () => {
    const gone = group("/nonexistent/group")
    gone.kill()
    assert.isFalse(gone.freeze())
    assert.isFalse(gone.thaw())
    assert.isFalse(gone.populated())
    assert.deepStrictEqual(gone.pids(), [])
    assert.deepStrictEqual(gone.limit({ processes: 3 }), [{ limit: "processes", why: "the group is gone" }])
    assert.isTrue(gone.remove())
    const joined = gone.join(process.pid)
    assert.strictEqual(Result.isFailure(joined) ? joined.failure.code : "", "ENOENT")
  })
})

describe("a subtree where little is to be had", () => {
  /** A directory that says of itself what a cgroup would, and in which nothing can be moved or enabled. */
  const inGroup = (files: Record<string, string>, legacy: ReadonlyArray<string> = []) => {
    const path = mkdtempSync(join(tmpdir(), "cgroup-poor-"))
    try {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
      const controllers = new Set((files["cgroup.controllers"] ?? "").split(" "))
      const tree = Result.getOrThrow(openSubtree({ path, controllers, legacy: new Set(legacy) }, "life"))
      const leaf = Result.getOrThrow(tree.leaf("run"))
      assert.isTrue(existsSync(leaf.path))
      const closed = tree.close()
      return { tree, closed, left: readdirSync(path).filter((name) => !(name in files)) }
    } finally {
      rmSync(path, { recursive: true })
    }
  }

  it("goes on without controllers, and says why for each", () => {
    const { closed, left, tree } = inGroup({ "cgroup.controllers": "pids" }, ["memory", "blkio"])
    assert.deepStrictEqual([...tree.controllers], [])
    assert.include(tree.missing.get("memory"), "cgroup v1")
    assert.include(tree.missing.get("io"), "cgroup v1")
    assert.strictEqual(tree.missing.get("cpu"), "this kernel does not offer it")
    assert.match(tree.missing.get("pids") ?? "", /could not be handed on in .* \(ENOENT\)/)
    assert.deepStrictEqual(closed, { gone: true, left: [] })
    assert.deepStrictEqual(left, [])
  })

  it("knows that an older kernel cannot kill a group at once", () => {
    assert.isFalse(inGroup({}).tree.killsAtOnce)
  })

  it("names Delegate= where a controller is not handed on", () => {
    assert.include(inGroup({ "cgroup.type": "domain\n" }).tree.missing.get("io"), "see Delegate=")
  })

  it("moves nobody where it is not alone, and names who is there", () => {
    const files = { "cgroup.type": "domain\n", "cgroup.controllers": "pids", "cgroup.procs": `${process.pid}\n1\n` }
    const { left, tree } = inGroup(files)
    assert.match(tree.missing.get("pids") ?? "", /other processes are in .*: .+ \(1\); run under systemd/)
    assert.deepStrictEqual(left, [])
  })

  it("leaves nothing behind where it could not make room", () => {
    const files = { "cgroup.type": "domain\n", "cgroup.controllers": "pids", "cgroup.procs": `${process.pid}\n` }
    const { left, tree } = inGroup(files)
    assert.include(tree.missing.get("pids"), `could not move process ${process.pid}`)
    assert.deepStrictEqual(left, [])
  })
})

const found = findCgroup()
if ("why" in found) console.log(`cgroup tests skipped: ${found.why}; ${found.hint}`)

/** Generous, because an emulated machine is slow; only ever waited out by a test that fails. */
const until = async (what: string, holds: () => boolean) => {
  for (let i = 0; i < 20_000; i++) {
    if (holds()) return
    await Bun.sleep(5)
  }
  assert.fail(`never seen: ${what}`)
}
const read = (path: string) => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

describe.skipIf("why" in found)("the machine's own cgroup v2", { timeout: 120_000 }, () => {
  const own = found as Found
  const life = `mister-smith-test-${process.pid}`
  const scratch = mkdtempSync(join(tmpdir(), "cgroup-run-"))
  // A user without rights must be able to write here as well.
  chmodSync(scratch, 0o777)
  let tree: Subtree
  let counter = 0

  beforeAll(() => {
    tree = Result.getOrThrow(openSubtree(own, life))
    for (const [controller, why] of tree.missing) console.log(`without ${controller}: ${why}`)
  })
  afterAll(async () => {
    await until("the subtree is gone", () => tree.close().gone)
    rmSync(scratch, { recursive: true, force: true })
  })

  const newLeaf = () => Result.getOrThrow(tree.leaf(`run-${counter++}`))
  /** Starts within the group: not even its first instruction runs elsewhere. */
  const sh = (leaf: { readonly path: string }, script: string) =>
    Bun.spawn(["/bin/sh", "-c", script], {
      cgroup: leaf.path,
      cwd: scratch,
      env: { PATH: process.env["PATH"] ?? "" },
      stdout: "ignore",
      stderr: "ignore"
    } as Parameters<typeof Bun.spawn>[1])
  const removed = (leaf: Group) => until("the group is removed", () => leaf.remove())
  const escape = (name: string) =>
    `setsid env -i /bin/sh -c '(setsid env -i /bin/sh -c "echo \\$\\$ > ${name}; exec sleep 1000" &) ; exit 0' & wait; exec sleep 1000`

  for (const [how, kill] of [
    ["at once", (leaf: Group) => leaf.kill()],
    ["one by one, as on a kernel before 5.14", (leaf: Group) => killOneByOne(leaf.path)]
  ] as const) {
    it(`kills what has double-forked, left the session and cleared its environment, ${how}`, async () => {
      const leaf = newLeaf()
      const name = `escaped-${counter}`
      sh(leaf, escape(name))
      await until("the grandchild is up", () => read(join(scratch, name)).endsWith("\n"))
      const pid = Number(read(join(scratch, name)))
      await until("the grandchild sleeps", () => ProcessTable.read(pid)?.name === "sleep")
      assert.include(leaf.pids(), pid)
      assert.isTrue(leaf.populated())
      assert.isFalse(leaf.remove())
      kill(leaf)
      await until("nobody is left", () => !leaf.populated())
      assert.deepStrictEqual(leaf.pids(), [])
      assert.notInclude(["R", "S", "D", "T"], ProcessTable.read(pid)?.state)
      await removed(leaf)
    })

    it(`kills what forks without end, also in groups of its own, ${how}`, async () => {
      const leaf = newLeaf()
      mkdirSync(join(leaf.path, "inner"))
      const name = `bomb-${counter}`
      // Each one starts its successor and ends: there is never the same process twice.
      const script = `f() { echo x >> ${name}; (f &) ; }; f; exec sleep 1000`
      sh({ path: join(leaf.path, "inner") }, script)
      sh(leaf, script)
      await until("it forks", () => read(join(scratch, name)).length > 40)
      kill(leaf)
      await until("nobody is left", () => !leaf.populated())
      assert.isFalse(leaf.isFrozen())
      await removed(leaf)
    })
  }

  it("freezes and thaws, and kills what is frozen", async () => {
    const leaf = newLeaf()
    const file = join(scratch, "count")
    sh(leaf, "while :; do echo x >> count; done")
    await until("it counts", () => read(file).length > 0)
    assert.isFalse(leaf.isFrozen())
    assert.isTrue(leaf.freeze())
    await until("it is frozen", () => leaf.isFrozen())
    const before = read(file).length
    await Bun.sleep(50)
    assert.strictEqual(read(file).length, before)
    assert.isTrue(leaf.thaw())
    await until("it goes on", () => read(file).length > before)
    assert.isFalse(leaf.isFrozen())
    leaf.freeze()
    await until("it is frozen", () => leaf.isFrozen())
    leaf.kill()
    await until("nobody is left", () => !leaf.populated())
    await removed(leaf)
  })

  it("takes in a process that is running, and says so where there is none", async () => {
    const leaf = newLeaf()
    const child = Bun.spawn(["sleep", "1000"])
    assert.deepStrictEqual(leaf.pids(), [])
    assert.isTrue(Result.isSuccess(leaf.join(child.pid)))
    assert.deepStrictEqual(leaf.pids(), [child.pid])
    leaf.kill()
    await child.exited
    assert.strictEqual(child.signalCode, "SIGKILL")
    const joined = leaf.join(child.pid)
    assert.strictEqual(Result.isFailure(joined) ? joined.failure.code : "", "ESRCH")
    await removed(leaf)
  })

  it("measures the processor time of everything in it", async () => {
    const leaf = newLeaf()
    sh(leaf, "(i=0; while :; do i=$((i+1)); done) & wait")
    await until("it has used some", () => (leaf.usage().cpuMicros ?? 0) > 10_000)
    leaf.kill()
    await removed(leaf)
  })

  it("refuses a name that is no name, or is taken", () => {
    const code = (name: string) => {
      const made = openSubtree(own, name)
      return Result.isFailure(made) ? made.failure.code : "made"
    }
    for (const name of ["", ".", "..", "a/b", "../a", "a\nb"]) assert.strictEqual(code(name), "EINVAL")
    assert.strictEqual(code(life), "EEXIST")
    const leaf = newLeaf()
    const again = tree.leaf(leaf.path.split("/").at(-1) ?? "")
    assert.strictEqual(Result.isFailure(again) ? again.failure.code : "", "EEXIST")
    assert.isTrue(leaf.remove())
  })

  it("sweeps what an earlier life left, and nothing else", async () => {
    const earlier = Result.getOrThrow(openSubtree(own, `${life}-earlier`))
    const other = Result.getOrThrow(openSubtree(own, `${life}-other`))
    const leaf = Result.getOrThrow(earlier.leaf("run"))
    const spared = Result.getOrThrow(other.leaf("run"))
    const kept = Bun.spawn(["sleep", "1000"], { cgroup: spared.path } as Parameters<typeof Bun.spawn>[1])
    sh(leaf, escape("left-behind"))
    await until("it is up", () => read(join(scratch, "left-behind")).endsWith("\n"))
    const pid = Number(read(join(scratch, "left-behind")))
    await until("it sleeps", () => ProcessTable.read(pid)?.name === "sleep")
    leaf.freeze()
    const isStale = (name: string) => name === `${life}-earlier`
    const [swept, ...more] = sweepSubtrees(own, isStale)
    assert.deepStrictEqual(more, [])
    assert.deepInclude([...(swept?.processes ?? [])], { pid, name: "sleep" })
    await until("it is gone", () => sweepSubtrees(own, isStale).every(({ gone }) => gone))
    assert.deepStrictEqual(sweepSubtrees(own, isStale), [])
    assert.deepStrictEqual(spared.pids(), [kept.pid])
    assert.isNull(kept.exitCode)
    await until("the other is closed", () => other.close().gone)
    assert.isTrue(earlier.close().gone)
  })

  it("removes the room of a runtime that is no more, and no other", async () => {
    const ended = Bun.spawn(["true"])
    await ended.exited
    const lives = Bun.spawn(["sleep", "1000"])
    const room = (pid: number) => join(own.path, `mister-smith-runtime-${pid}`)
    for (const { pid } of [ended, lives]) mkdirSync(room(pid))
    try {
      assert.deepStrictEqual(
        sweepSubtrees(own, () => false),
        []
      )
      assert.isFalse(existsSync(room(ended.pid)))
      assert.isTrue(existsSync(room(lives.pid)))
    } finally {
      lives.kill("SIGKILL")
      for (const { pid } of [ended, lives]) group(room(pid)).remove()
    }
  })

  it("never sweeps the group that it is in itself", async () => {
    const mine = Result.getOrThrow(openSubtree(own, `${life}-mine`))
    const script = `
      import { sweepSubtrees } from ${JSON.stringify(join(import.meta.dirname, "../../src/process/CgroupTree.ts"))}
      console.log(JSON.stringify(sweepSubtrees({ path: ${JSON.stringify(own.path)} }, (name) => name === "${life}-mine")))`
    const child = Bun.spawn([process.execPath, "-e", script], {
      cgroup: Result.getOrThrow(mine.leaf("run")).path,
      stdout: "pipe"
    } as { stdout: "pipe" })
    assert.strictEqual(await new Response(child.stdout).text(), "[]\n")
    assert.strictEqual(await child.exited, 0)
    await until("it is closed", () => mine.close().gone)
  })

  const without = (controller: Controller) => {
    if (tree.controllers.has(controller)) return false
    console.log(`not tested here: ${controller} (${tree.missing.get(controller)})`)
    return true
  }

  it("explains each controller that it does not have", () => {
    for (const controller of ["memory", "cpu", "pids", "io"] as const) {
      assert.strictEqual(tree.controllers.has(controller), !tree.missing.has(controller))
      if (own.legacy.has(controller)) assert.include(tree.missing.get(controller), "cgroup v1")
    }
  })

  it("lets the kernel end what eats more memory than it may, and tells of it", async (test) => {
    if (without("memory")) return test.skip()
    // Its code is then in memory on another group's account: at its limit a group would read its own in again and again.
    Bun.spawnSync(["perl", "-e", "1"])
    const leaf = newLeaf()
    const refused = leaf.limit({ memoryMax: 48 * 2 ** 20, swapMax: 0 })
    assert.deepStrictEqual(
      refused.filter(({ limit }) => limit !== "swapMax"),
      []
    )
    const eater = sh(leaf, `exec perl -e '$x = "x" x (100 << 20); sleep 1000'`)
    await eater.exited
    assert.strictEqual(eater.signalCode, "SIGKILL")
    assert.isAbove(leaf.events().oomKill ?? 0, 0)
    assert.isAbove(leaf.usage().memoryPeak ?? 48 * 2 ** 20, 24 * 2 ** 20)
    // The same is well when it may have more, in the same group.
    assert.deepStrictEqual(
      leaf.limit({}).filter(({ limit }) => limit !== "swapMax"),
      []
    )
    const sated = sh(leaf, `exec perl -e '$x = "x" x (100 << 20); exit 7'`)
    assert.strictEqual(await sated.exited, 7)
    await removed(leaf)
  })

  it("lets a fork fail at the limit of processes, and again succeed when it is lifted", async (test) => {
    if (without("pids")) return test.skip()
    const leaf = newLeaf()
    assert.deepStrictEqual(leaf.limit({ processes: 3 }), [])
    const child = sh(
      leaf,
      `exec perl -e 'for (1 .. 8) { my $pid = fork; exit 7 unless defined $pid; unless ($pid) { sleep 1000; exit } } exit 0'`
    )
    assert.strictEqual(await child.exited, 7)
    assert.isAbove(leaf.events().forksRefused ?? 0, 0)
    assert.strictEqual(leaf.usage().processes, 2)
    assert.deepStrictEqual(leaf.limit({}), [])
    const free = sh(leaf, "for i in 1 2 3 4 5 6; do sleep 1000 & done; exit 0")
    assert.strictEqual(await free.exited, 0)
    leaf.kill()
    await removed(leaf)
  })

  it("holds back what uses more than its share of the processor, from when it is said", async (test) => {
    if (without("cpu")) return test.skip()
    const leaf = newLeaf()
    sh(leaf, "while :; do :; done")
    await until("it runs", () => (leaf.usage().cpuMicros ?? 0) > 50_000)
    assert.strictEqual(leaf.usage().cpuThrottled, 0)
    assert.deepStrictEqual(leaf.limit({ cpus: 0.1 }), [])
    await until("it is held back", () => (leaf.usage().cpuThrottled ?? 0) > 2)
    leaf.kill()
    await removed(leaf)
  })

  it("weighs input and output where the kernel can", async (test) => {
    if (without("io")) return test.skip()
    const leaf = newLeaf()
    const refused = leaf.limit({ ioWeight: 50 })
    if (refused.length > 0) console.log(`ioWeight: ${refused[0]?.why}`)
    else assert.match(read(`${leaf.path}/io.weight`) || read(`${leaf.path}/io.bfq.weight`), /\b50\b/)
    await removed(leaf)
  })

  /** A runtime alone in a group that is not the root: what it prints of its subtree, and of where it is before, within and after. */
  const alone = async (path: string, before = "") => {
    const controllers = JSON.stringify([...tree.controllers])
    const script = `
      import { readFileSync } from "node:fs"
      import { Result } from "effect"
      import { openSubtree } from ${JSON.stringify(join(import.meta.dirname, "../../src/process/CgroupTree.ts"))}
      const where = () => readFileSync("/proc/self/cgroup", "utf8").split("\\n").find((l) => l.startsWith("0::")).split("/").at(-1)
      const places = [where()]
      const found = { path: ${JSON.stringify(path)}, controllers: new Set(${controllers}), legacy: new Set() }
      const tree = Result.getOrThrow(openSubtree(found, "life"))
      places.push(where())
      const leaf = Result.getOrThrow(tree.leaf("run"))
      const refused = leaf.limit({ processes: 7 })
      const closed = tree.close()
      places.push(where())
      console.log(JSON.stringify({
        pid: process.pid, controllers: [...tree.controllers], missing: [...tree.missing], refused, closed, places
      }))`
    const command = `${before}exec "$0" -e "$1"`
    const child = Bun.spawn(["/bin/sh", "-c", command, process.execPath, script], {
      cgroup: path,
      cwd: join(import.meta.dirname, "../.."),
      stdout: "pipe"
    } as { stdout: "pipe" })
    const text = await new Response(child.stdout).text()
    await child.exited
    return JSON.parse(text)
  }

  it("makes room for the controllers where it is alone, and goes back at the end", async (test) => {
    if (tree.controllers.size === 0) {
      console.log("not tested here: making room (there is no controller to make room for)")
      return test.skip()
    }
    const leaf = newLeaf()
    const name = leaf.path.split("/").at(-1)
    const told = await alone(leaf.path)
    assert.deepStrictEqual(told.places, [name, `mister-smith-runtime-${told.pid}`, name])
    assert.sameMembers(told.controllers, [...tree.controllers])
    assert.deepStrictEqual(told.closed, { gone: true, left: [] })
    if (tree.controllers.has("pids")) assert.deepStrictEqual(told.refused, [])
    assert.strictEqual(read(`${leaf.path}/cgroup.subtree_control`).trim(), "")
    await removed(leaf)
  })

  it("moves nobody where others are in the group, and says who", async (test) => {
    if (tree.controllers.size === 0) {
      console.log("not tested here: others in the group (there is no controller to make room for)")
      return test.skip()
    }
    const leaf = newLeaf()
    const name = leaf.path.split("/").at(-1)
    const told = await alone(leaf.path, "sleep 1000 >/dev/null & ")
    assert.deepStrictEqual(told.places, [name, name, name])
    assert.deepStrictEqual(told.controllers, [])
    for (const [, why] of told.missing.slice(0, tree.controllers.size))
      assert.match(why, /other processes are in .*sleep \(/)
    assert.isTrue(told.closed.gone)
    leaf.kill()
    await removed(leaf)
  })
})
