/** The services of a simulated world, for one life of a runtime: processes, files, the ledger's disk, clock and dice. */
import { join } from "node:path"
import {
  Clock,
  type Context,
  Deferred,
  Effect,
  FileSystem,
  Layer,
  Path,
  PlatformError,
  Queue,
  Random,
  Stream
} from "effect"
import type { Done } from "effect/Cause"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { SpawnFailed } from "../../src/process/ProcessError.ts"
import { type ProcessHandle, ProcessTree, type Receipt } from "../../src/process/ProcessTree.ts"
import { type Database, open } from "../../src/state/Database.ts"
import { StateStore } from "../../src/state/StateStore.ts"
import * as Ledger from "../../src/task/Ledger.ts"
import { KEPT } from "../../src/task/LedgerStore.ts"
import { APPLICATION_ID, MIGRATIONS } from "../../src/task/SqliteRows.ts"
import { SqliteStore } from "../../src/task/SqliteStore.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { Cli } from "./Cli.ts"
import { Dead, type World } from "./World.ts"

/** The clock on the wall is wrong by `world.skew`; what is slept and measured is not. */
export const skewed = (world: World, clock: Clock.Clock): Clock.Clock => {
  const millis = () => clock.currentTimeMillisUnsafe() + world.skew
  const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(world.skew) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

const processes = (world: World, context: Context.Context<never>) => {
  const life = world.life
  const start = (spec: Parameters<ProcessTree["Service"]["spawn"]>[0]) =>
    Effect.gen(function* () {
      try {
        world.mayDie(life, "spawn.before")
      } catch {
        return yield* new SpawnFailed({ command: spec.command, code: "EIO" })
      }
      if (world.faults && world.dice.chance(0.02)) {
        world.count("spawns refused")
        return yield* new SpawnFailed({ command: spec.command, code: "EAGAIN" })
      }
      const cli = new Cli(world, context, spec, yield* Queue.make<Uint8Array, Done>())
      world.note(`cli ${cli.pid} starts`)
      world.count("CLIs")
      try {
        world.mayDie(life, "spawn.after")
      } catch {}
      const stop = Effect.gen(function* () {
        if (cli.isAlive) yield* Effect.sleep(world.dice.between(1, 3_000))
        cli.die(null, "SIGTERM")
        const receipt: Receipt = {
          run: `run-${cli.pid}`,
          pid: cli.pid,
          exit: { code: 0, signal: null },
          ended: [],
          tookMillis: 1
        }
        return receipt
      })
      const handle: ProcessHandle = {
        run: `run-${cli.pid}`,
        pid: cli.pid,
        stdout: Stream.takeWhile(Stream.fromQueue(cli.out), () => world.isAlive(life)),
        stderr: Stream.empty,
        write: (text) => Effect.sync(() => world.isAlive(life) && cli.write(text)),
        closeInput: Effect.void,
        exit: Deferred.await(cli.exited),
        stop,
        pause: Effect.sync(() => cli.pause()),
        resume: Effect.sync(() => cli.resume()),
        isPaused: () => cli.isPaused,
        pausedMillis: () => cli.pausedMillis + (cli.isPaused ? world.now() - cli.pausedSince : 0),
        usage: () => undefined,
        usageHistory: () => [],
        limit: () => Effect.succeed([]),
        unenforced: () => []
      }
      return handle
    })
  return ProcessTree.of({ spawn: (spec) => Effect.acquireRelease(start(spec), ({ stop }) => Effect.ignore(stop)) })
}

const fails = (path: string, kind: "NotFound" | "PermissionDenied", method: string) =>
  PlatformError.systemError({ _tag: kind, module: "FileSystem", method, pathOrDescriptor: path })

const files = (world: World) => {
  const life = world.life
  const ill = (path: string, method: string) =>
    world.isAlive(life) && !(world.faults && world.dice.chance(0.01))
      ? Effect.void
      : Effect.fail(fails(path, "PermissionDenied", method))
  return FileSystem.makeNoop({
    makeDirectory: (path) => ill(path, "makeDirectory"),
    writeFileString: (path, text) =>
      Effect.andThen(
        ill(path, "writeFileString"),
        Effect.sync(() => void world.files.set(path, text))
      ),
    readFileString: (path) =>
      Effect.suspend(() => {
        const text = world.files.get(path)
        return text === undefined ? Effect.fail(fails(path, "NotFound", "readFileString")) : Effect.succeed(text)
      }),
    readDirectory: (path) =>
      Effect.sync(() => {
        const names = [...world.files.keys()].filter((file) => file.startsWith(`${path}/`))
        return [...new Set(names.map((file) => file.slice(path.length + 1).split("/")[0] ?? ""))]
      }),
    exists: (path) =>
      Effect.sync(() => [...world.files.keys()].some((file) => file === path || file.startsWith(`${path}/`)))
  })
}

/** The real ledger in a real file, whose writes may fail, or be the last that the runtime does. */
const ledger = (world: World, dir: string) => {
  const life = world.life
  const faulty = (database: Database): Database => {
    const real = () => {
      if (!world.isAlive(life)) throw new Dead()
      return database
    }
    return {
      file: database.file,
      all: (...args) => real().all(...args),
      get: (...args) => real().get(...args),
      run: (...args) => real().run(...args),
      transact: (durable, work) => {
        world.mayDie(life, "write.before")
        if (world.faults && world.dice.chance(0.01)) {
          world.count("full disks")
          throw new Error("database or disk is full")
        }
        const answer = database.transact(durable, work)
        world.mayDie(life, "write.after")
        return answer
      }
    }
  }
  return Layer.effect(
    TaskLedger,
    Effect.orDie(open({ file: join(dir, "ledger.db"), applicationId: APPLICATION_ID, migrations: MIGRATIONS })).pipe(
      Effect.flatMap((database) => Ledger.make(() => new SqliteStore(faulty(database)), KEPT))
    )
  )
}

/** What outlives a life of the runtime beside the ledger; the dead write nothing any more. */
const state = (world: World) => {
  const life = world.life
  const alive = <A, E>(ask: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      if (!world.isAlive(life)) throw new Dead()
      return ask
    })
  const writing = <A, E>(write: Effect.Effect<A, E>) =>
    alive(
      Effect.suspend(() => {
        world.mayDie(life, "state.before")
        return Effect.tap(write, () => Effect.sync(() => world.mayDie(life, "state.after")))
      })
    )
  const { get, list, put, remove, swap } = world.state
  return StateStore.of({
    get: (...args) => alive(get(...args)),
    list: (...args) => alive(list(...args)),
    put: (...args) => writing(put(...args)),
    swap: (...args) => writing(swap(...args)),
    remove: (...args) => writing(remove(...args))
  })
}

/** All that a node needs, but its events. */
export const outside = (world: World, dir: string, context: Context.Context<never>, clock: Clock.Clock) =>
  ledger(world, dir).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Layer.succeed(ProcessTree, processes(world, context)),
        Layer.succeed(StateStore, state(world)),
        Layer.succeed(FileSystem.FileSystem, files(world)),
        Path.layer,
        Layer.succeed(
          SecureRandom.SecureRandom,
          SecureRandom.make((size) => world.dice.bytes(size))
        ),
        Layer.succeed(Random.Random, {
          nextIntUnsafe: () => world.dice.between(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
          nextDoubleUnsafe: () => world.dice.next()
        }),
        Layer.succeed(Clock.Clock, skewed(world, clock))
      )
    )
  )
