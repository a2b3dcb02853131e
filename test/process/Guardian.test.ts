import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readlinkSync, rmdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import * as Guardian from "../../src/process/Guardian.ts"
import * as PidNamespace from "../../src/process/PidNamespace.ts"
import { MARKER, type ProcessIdentity, read } from "../../src/process/ProcessTable.ts"

/*
 * What the guardian does when its runtime is dead, in a PID namespace of the test's own: were it to kill what is not its
 * own, that would be all of the machine.
 */
const namespace = PidNamespace.find()
if ("why" in namespace) console.log(`guardian tests skipped: ${namespace.why}`)
const cgroup = findCgroup()
const isRoot = process.getuid?.() === 0
const has = (command: string) => spawnSync("/bin/sh", ["-c", `command -v ${command}`]).status === 0

const PREFIX = "0123456789ab.ba9876543210."

interface Said {
  readonly out: string
  readonly errors: string
}

/** Runs a shell script as a process of a namespace of its own; `$GUARDIAN` is the guardian's script. */
const inNamespace = (script: string, env: Record<string, string> = {}): Promise<Said> =>
  new Promise((resolve, reject) => {
    if (!("wrap" in namespace)) return reject(new Error(namespace.why))
    const [command, args] = namespace.wrap("/bin/sh", ["-c", `[ $$ -lt 100 ] || exit 99\n${script}`])
    const child = spawn(command, args, {
      env: {
        PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
        GUARDIAN: Guardian.SCRIPT,
        KEEPS: PREFIX,
        ...env
      },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const said = { out: "", errors: "" }
    child.stdout.on("data", (bytes) => (said.out += bytes))
    child.stderr.on("data", (bytes) => (said.errors += bytes))
    child.once("error", reject)
    child.once("close", (code) => (code === 99 ? reject(new Error("not in a namespace")) : resolve(said)))
  })

/** `start NAME COMMAND...` leaves a process that has let its file say who it is; `alive NAME` asks after it. */
const TOOLS = `
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
up() { until [ -s "$dir/$1" ]; do sleep 0.01; done; read -r $1 <"$dir/$1"; }
began() { read -r line <"/proc/$1/stat"; set -- \${line##*) }; shift 19; echo $1; }
tell() { for name; do
  eval "pid=\\$$name"
  if read -r line 2>/dev/null <"/proc/$pid/stat"; then
    case \${line##*) } in Z*) echo "$name gone" ;; *) echo "$name alive" ;; esac
  else echo "$name gone"; fi
done; }
export dir
`

/** A neighbour, a leader in a session of its own, and all that may belong to it. */
const FAMILY = `${TOOLS}
env -i PATH="$PATH" dir="$dir" setsid sh -c 'echo $$ >$dir/neighbour; exec sleep 1000' & up neighbour
${MARKER}=${PREFIX}run setsid sh -c '
  setsid sh -c "(sh -c \\"echo \\\\$\\\\$ >$dir/orphan; exec sleep 1000\\" &)" &
  env -i dir="$dir" PATH="$PATH" sh -c "echo \\$\\$ >$dir/wiped; exec sleep 1000" &
  env -i dir="$dir" PATH="$PATH" setsid sh -c "echo \\$\\$ >$dir/child; exec sleep 1000" &
  echo $$ >$dir/leader; wait' & up leader; up orphan; up wiped; up child
`
const family = "neighbour leader orphan wiped child"

const shells: ReadonlyArray<readonly [name: string, command: string]> = [
  ["/bin/sh", "/bin/sh"],
  ["dash", "dash"],
  ["bash --posix", "bash --posix"],
  ["busybox sh", "busybox sh"]
]

describe.skipIf("why" in namespace)("the guardian's script", { timeout: 30_000 }, () => {
  for (const [name, shell] of shells) {
    describe.skipIf(!has(shell.split(" ")[0] ?? ""))(`in ${name}`, () => {
      it("kills nobody when it was told nothing", async () => {
        for (const [keeps, group, input] of [
          ["", "", ""],
          ["", "/", "run 1 1\n"],
          ["short", "/sys/fs/cgroup", "run 1 1\n"],
          [PREFIX, "/", "run 1 1\nrun 0 0\nrun -1 -1\n"]
        ]) {
          const said = await inNamespace(
            `${TOOLS} env FOO=bar sleep 1000 & other=$!; printf "$INPUT" | setsid ${shell} -c "$GUARDIAN"; tell other`,
            { INPUT: input ?? "", KEEPS: keeps ?? "", GROUP: group ?? "" }
          )
          assert.strictEqual(said.out, "other alive\n", said.errors)
        }
      })

      it("kills nobody when the runtime has ended in order", async () => {
        const said = await inNamespace(
          `${FAMILY} printf 'run %s %s\\nbye\\n' $leader $(began $leader) | setsid ${shell} -c "$GUARDIAN"; tell ${family}`
        )
        assert.strictEqual(said.out, "neighbour alive\nleader alive\norphan alive\nwiped alive\nchild alive\n")
      })

      it("kills what is in a leader's group, descends from it or has the marker, and no neighbour", async () => {
        const said = await inNamespace(
          `${FAMILY} printf 'run %s %s\\n' $leader $(began $leader) | setsid ${shell} -c "$GUARDIAN"; tell ${family}`
        )
        assert.strictEqual(said.out, "neighbour alive\nleader gone\norphan gone\nwiped gone\nchild gone\n", said.errors)
      })

      it("kills no stranger that has got a leader's pid, and none of a tree that is proven gone", async () => {
        const said = await inNamespace(
          `${FAMILY} s=$(began $neighbour)
          printf 'run %s 1\\nrun %s %s\\ngone %s %s\\n' $neighbour $neighbour $s $neighbour $s |
            setsid ${shell} -c "$GUARDIAN"; tell ${family}`
        )
        assert.strictEqual(said.out, "neighbour alive\nleader gone\norphan gone\nwiped gone\nchild gone\n", said.errors)
      })

      it.skipIf(!has("perl"))("kills what has a name of newlines and parentheses", async () => {
        const said = await inNamespace(
          `${FAMILY} env -i setsid perl -e '$0 = "a) R 1 1\\n1 (b"; print "up\\n"; close STDOUT; sleep 1000' >$dir/ready &
          odd=$!; until [ -s $dir/ready ]; do sleep 0.01; done
          printf 'run %s %s\\n' $odd $(perl -e 'local $/; open F, "/proc/$ARGV[0]/stat"; <F> =~ /.*\\) (.*)/s; print((split " ", $1)[19])' $odd) |
            setsid ${shell} -c "$GUARDIAN"; tell odd neighbour`
        )
        assert.strictEqual(said.out, "odd gone\nneighbour alive\n", said.errors)
      })

      it.skipIf(!has("perl"))("kills a process of which the first thread has ended and others have not", async () => {
        const said = await inNamespace(
          `${TOOLS} ${HEADLESS}
          printf '' | setsid ${shell} -c "$GUARDIAN"; [ -d /proc/$headless ] && echo left`
        )
        if (said.out.startsWith("no threads")) return console.log("perl has no threads here")
        assert.strictEqual(said.out, "", said.errors)
      })

      // Bash waits 15 seconds for a process before it gives up.
      const exhaustible = isRoot && ["setpriv", "prlimit", "perl"].every(has) && !shell.startsWith("bash")
      it.skipIf(!exhaustible)("kills also where no other process is to be had", async () => {
        // A limit on processes is a user's, and root has none. Neighbours fill it, so that no kill makes room.
        const user = 60_000 + (process.pid % 5000)
        const said = await inNamespace(
          `${TOOLS} chmod 777 $dir; mkfifo -m 666 $dir/in
          run="setpriv --reuid=${user} --regid=${user} --clear-groups prlimit --nproc=24"
          $run setsid ${shell} -c "$GUARDIAN" <$dir/in & guardian=$!
          exec 4>$dir/in
          ${MARKER}=${PREFIX}run $run sh -c 'setsid sh -c "echo \\$\\$ >$dir/orphan; exec sleep 1000" 4>&- &'
          up orphan
          $run perl -e '$SIG{CHLD} = "IGNORE"; while (defined(my $pid = fork)) { $pid or exec "sleep", "1000" }
            open F, ">", "$ENV{dir}/full"; print F "$$\\n"; close F; sleep 1000' 4>&- &
          up full; exec 4>&-; wait $guardian; tell orphan full`
        )
        assert.strictEqual(said.out, "orphan gone\nfull alive\n", said.errors)
      })
    })
  }

  it.skipIf("why" in cgroup)(
    "kills all of its cgroup, whose name may hold spaces, and nothing of another's",
    async () => {
      const base = join("path" in cgroup ? cgroup.path : "", `mister-smith-test${process.pid}`)
      const [own, other] = [`${base} of 2`, base]
      mkdirSync(own)
      mkdirSync(other)
      try {
        const said = await inNamespace(
          `${TOOLS}
        env -i dir="$dir" PATH="$PATH" own="$OWN" setsid sh -c 'echo $$ >"$own/cgroup.procs"; echo $$ >$dir/inside; exec sleep 1000' &
        env -i dir="$dir" PATH="$PATH" own="$OTHER" setsid sh -c 'echo $$ >"$own/cgroup.procs"; echo $$ >$dir/outside; exec sleep 1000' &
        up inside; up outside
        printf '' | GROUP="$OWN" setsid /bin/sh -c "$GUARDIAN"; tell inside outside`,
          { OWN: own, OTHER: other }
        )
        assert.strictEqual(said.out, "inside gone\noutside alive\n", said.errors)
      } finally {
        for (const path of [own, other]) {
          try {
            rmdirSync(path)
          } catch {
            // The guardian has removed its own.
          }
        }
      }
    }
  )
})

/** A marked orphan whose first thread has ended: it reads as a zombie, and has no environment of its own to be read. */
const HEADLESS = `
${MARKER}=${PREFIX}run perl -e 'eval "use threads; 1" or exit 3; exit(fork ? 0 : 1) if fork; require POSIX; POSIX::setsid();
  threads->create(sub { sleep 1000 })->detach; open F, ">", "$ENV{dir}/headless"; print F "$$\\n"; close F; syscall(60, 0)' 2>/dev/null
[ $? = 3 ] && { echo "no threads"; exit; }
up headless; until grep -q "^State:.Z" /proc/$headless/status; do sleep 0.01; done
`

describe.skipIf(process.platform !== "linux")("the guardian", () => {
  const started = async (use: (guardian: Guardian.Guardian, dir: string) => Promise<void>) => {
    const directory = mkdtempSync(join(tmpdir(), "mister-smith-guardian-"))
    const guardian = Guardian.start({ directory, prefix: PREFIX, cgroup: undefined })
    assert.isDefined(guardian)
    try {
      await use(guardian, directory)
    } finally {
      guardian.close()
      rmSync(directory, { recursive: true })
    }
  }
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const identity = (pid: number): ProcessIdentity => read(pid) ?? { pid, startTime: "" }

  it("leads a session of its own, by a name that no one kills, with nothing of our environment", async () => {
    await started(async (guardian) => {
      const pid = guardian.pid() ?? 0
      await until(() => read(pid)?.name !== undefined && read(pid)?.name !== read(process.pid)?.name)
      const entry = read(pid)
      assert.strictEqual(entry?.session, pid)
      assert.notMatch(entry?.name ?? "", /mister|claude|node|bun/)
      assert.strictEqual(readlinkSync(`/proc/${pid}/cwd`), "/")
    })
  })

  it("is replaced when it is killed, and ends with the runtime's orderly end", async () => {
    let last: ProcessIdentity | undefined
    await started(async (guardian) => {
      for (let life = 0; life < 3; life++) {
        const pid = guardian.pid() ?? 0
        process.kill(pid, "SIGKILL")
        await until(() => guardian.pid() !== undefined && guardian.pid() !== pid)
      }
      last = identity(guardian.pid() ?? 0)
    })
    await until(() => read(last?.pid ?? 0)?.startTime !== last?.startTime || read(last?.pid ?? 0)?.state === "Z")
  })

  it("ends at the runtime's orderly end what is not known to be gone, and nothing that is", async () => {
    const lead = async () => {
      const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
      await until(() => read(child.pid ?? 0)?.name === "sleep")
      return { child, over: once(child, "exit"), identity: identity(child.pid ?? 0) }
    }
    const [survivor, other] = [await lead(), await lead()]
    await started(async (guardian) => {
      for (const { identity } of [survivor, other]) guardian.run(identity)
      guardian.gone(other.identity)
    })
    assert.deepStrictEqual(await survivor.over, [null, "SIGKILL"])
    // A second signal would be told after the first.
    other.child.kill("SIGTERM")
    assert.deepStrictEqual(await other.over, [null, "SIGTERM"])
  })
})
