import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Result, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { MAX_BYTES } from "../../src/task/FileSpec.ts"
import { Inputs } from "../../src/task/Inputs.ts"
import type { SubmitOptions } from "../../src/task/TaskLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { TaskSpec } from "../../src/task/TaskSpec.ts"
import { tempDir } from "../utils/Binary.ts"
import { task } from "../utils/Specs.ts"
import { done, failed, sqliteIn } from "./Homes.ts"

const place = Effect.map(
  Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
  ({ path }) => {
    const data = join(path, "data")
    const work = join(path, "work")
    for (const dir of [data, work]) mkdirSync(dir)
    const write = (name: string, text: string) => {
      writeFileSync(join(path, name), text)
      return join(path, name)
    }
    const kept = () => (existsSync(join(data, "inputs")) ? readdirSync(join(data, "inputs")).sort() : [])
    return { path, data, work, write, kept }
  }
)
type Place = Effect.Success<typeof place>

/** One life of the runtime on this place. */
const living = ({ data, path }: Place) =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const layer = Inputs.layer(data, path).pipe(Layer.provideMerge(sqliteIn(data)))
    const context = yield* Layer.buildWithScope(layer, scope)
    return yield* Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const inputs = yield* Inputs
      yield* inputs.recover
      const submit = (spec: TaskSpec, options?: SubmitOptions) =>
        inputs.accepting([spec], options, (specs) => ledger.submitAll(specs, options))
      const end = Effect.fnUntraced(function* (id: string, ends: typeof done) {
        const { attempt } = yield* ledger.claim(id, "a")
        yield* ledger.complete(id, attempt, ends(id))
      })
      return { ledger, inputs, submit, end, close: Scope.close(scope, Exit.void) }
    }).pipe(Effect.provideContext(context))
  })

/** What is done in the background has no time of its own; the test's limit bounds it. */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() =>
    holds()
      ? Effect.void
      : Effect.andThen(
          Effect.promise(() => new Promise(setImmediate)),
          until(holds)
        )
  )

describe("the files of a task", () => {
  it.effect("are copied before it is accepted, and lie in the workspace while it is worked on", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { end, inputs, submit } = yield* living(at)
      const one = at.write("one.txt", "one")
      at.write("two.txt", "two")
      const files = [one, { path: "two.txt", name: "zwei ü.txt" }]
      yield* submit({ ...task({ id: "t" }), files })
      rmSync(one)
      at.write("two.txt", "something else")
      const lying = join(at.work, ".inputs", "t")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const told = yield* inputs.lay("t", files, at.work)
          assert.include(told, "\n- .inputs/t/one.txt\n- .inputs/t/zwei ü.txt")
          assert.strictEqual(readFileSync(join(lying, "one.txt"), "utf8"), "one")
          assert.strictEqual(readFileSync(join(lying, "zwei ü.txt"), "utf8"), "two")
          assert.strictEqual(readFileSync(join(at.work, ".inputs", ".gitignore"), "utf8"), "*\n")
          writeFileSync(join(lying, "one.txt"), "changed by its agent")
        })
      )
      assert.deepStrictEqual(readdirSync(at.work), [])
      yield* Effect.scoped(
        Effect.andThen(inputs.lay("t", files, at.work), () =>
          Effect.sync(() => assert.strictEqual(readFileSync(join(lying, "one.txt"), "utf8"), "one"))
        )
      )
      assert.deepStrictEqual(at.kept(), ["t"])
      yield* end("t", done)
      yield* until(() => at.kept().length === 0)
    })
  )

  it.effect("that cannot be read are named, and nothing of its submission is accepted or left", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { inputs, ledger } = yield* living(at)
      const good = at.write("good.txt", "good")
      const large = at.write("large", "")
      truncateSync(large, MAX_BYTES + 1)
      for (const [bad, reason] of [
        [join(at.path, "missing"), "there is no such file"],
        [at.work, "it is no file"],
        [large, "64 MiB together"]
      ] as const) {
        const specs = [
          { ...task({ id: "a" }), files: [good] },
          { ...task({ id: "b" }), files: [good, bad] }
        ]
        const error = yield* Effect.flip(inputs.accepting(specs, undefined, (specs) => ledger.submitAll(specs)))
        assert.deepInclude(error, { _tag: "FileUnusable", task: "b", file: bad })
        assert.include(error.message, reason)
        assert.deepStrictEqual(yield* ledger.list(), [])
        assert.deepStrictEqual(at.kept(), [])
      }
    })
  )

  it.effect("of a task that is there already stay as they are, whatever is refused", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { submit } = yield* living(at)
      const file = at.write("file", "first")
      yield* submit({ ...task({ id: "t" }), files: [file] })
      at.write("file", "second")
      yield* submit({ ...task({ id: "t" }), files: [file] })
      const error = yield* Effect.flip(submit({ ...task({ id: "t", prompt: "other" }), files: [file] }))
      assert.strictEqual(error._tag, "TaskConflict")
      const refused = yield* Effect.flip(
        submit({ ...task({ id: "u" }), files: [file], after: [task({ id: "nobody" }).id ?? assert.fail()] })
      )
      assert.strictEqual(refused._tag, "TaskInvalid")
      assert.deepStrictEqual(at.kept(), ["t"])
      assert.strictEqual(readFileSync(join(at.data, "inputs", "t", "file"), "utf8"), "first")
    })
  )

  it.effect("of a task that has failed are there when it is asked for again: as they are now, or as they were", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { end, submit } = yield* living(at)
      const file = at.write("file", "first")
      const spec = { ...task({ id: "t" }), files: [file] }
      const copy = () => readFileSync(join(at.data, "inputs", "t", "file"), "utf8")
      yield* submit(spec)
      yield* end("t", failed)
      at.write("file", "second")
      yield* submit(spec, { again: true })
      assert.strictEqual(copy(), "second")
      yield* end("t", failed)
      rmSync(file)
      yield* submit(spec, { again: true })
      assert.strictEqual(copy(), "second")
    })
  )

  it.effect("that something was cut off with are gone after the next start, and no others", () =>
    Effect.gen(function* () {
      const at = yield* place
      const file = at.write("file", "text")
      const first = yield* living(at)
      for (const id of ["open", "failed"]) yield* first.submit({ ...task({ id }), files: [file] })
      yield* first.end("failed", failed)
      yield* first.ledger.submit(task({ id: "over" }))
      yield* first.end("over", done)
      // As a runtime that is killed leaves it.
      const scope = yield* Scope.make()
      yield* Scope.provide(first.inputs.lay("open", [file], at.work), scope)
      yield* first.close
      const inputs = join(at.data, "inputs")
      for (const stray of [".new-t", "never-accepted", "over"]) {
        mkdirSync(join(inputs, stray))
        writeFileSync(join(inputs, stray, "file"), "half")
      }
      writeFileSync(join(at.work, ".inputs", "mine"), "not the runtime's")
      writeFileSync(join(inputs, ".laid-evil"), at.path)
      yield* living(at)
      assert.deepStrictEqual(at.kept(), ["failed", "open"])
      assert.deepStrictEqual(readdirSync(join(at.work, ".inputs")).sort(), [".gitignore", "mine"])
      assert.isTrue(existsSync(file))
    })
  )

  it.effect("serve all occurrences of a series, also in the next run, until none of them is open", () =>
    Effect.gen(function* () {
      const at = yield* place
      const file = at.write("file", "text")
      const spec = { ...task({ id: "nightly" }), files: [file], schedule: "0 3 * * *" }
      const first = yield* living(at)
      yield* first.submit(spec)
      rmSync(file)
      const work = Effect.fnUntraced(function* (life: typeof first, ends: typeof done) {
        yield* TestClock.adjust("1 day")
        const [head] = yield* life.ledger.heads()
        const { id } = head ?? assert.fail("nothing is due")
        assert.notInclude(id, ":", "no branch and no directory on a PATH may have one")
        const text = yield* Effect.scoped(
          Effect.andThen(life.inputs.lay(id, [file], at.work), () =>
            Effect.sync(() => readFileSync(join(at.work, ".inputs", id, "file"), "utf8"))
          )
        )
        assert.strictEqual(text, "text")
        yield* life.end(id, ends)
        return id
      })
      assert.strictEqual(yield* work(first, done), "nightly")
      assert.match(yield* work(first, failed), /^nightly@\d{8}T\d{6}Z$/)
      yield* work(first, done)
      yield* first.close
      const second = yield* living(at)
      const [open] = yield* second.ledger.openOf("nightly")
      yield* work(second, done)
      assert.deepStrictEqual(at.kept(), ["nightly"])
      yield* second.submit(spec)
      assert.deepStrictEqual(at.kept(), ["nightly"])
      const [next] = yield* second.ledger.openOf("nightly")
      assert.notStrictEqual(next?.id, open?.id)
      yield* second.ledger.cancel(next?.id ?? assert.fail("the series has ended"), "enough")
      yield* second.close
      yield* living(at)
      assert.deepStrictEqual(at.kept(), [])
    })
  )

  it.effect("are not laid through a link that leads elsewhere, and their loss is told", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { inputs, submit } = yield* living(at)
      const file = at.write("file", "text")
      yield* submit({ ...task({ id: "t" }), files: [file] })
      symlinkSync(at.path, join(at.work, ".inputs"))
      const linked = yield* Effect.flip(Effect.scoped(inputs.lay("t", [file], at.work)))
      assert.include(linked, { _tag: "FilesLost", file: join(at.work, ".inputs") })
      rmSync(join(at.work, ".inputs"))
      rmSync(join(at.data, "inputs", "t"), { recursive: true })
      const lost = yield* Effect.flip(Effect.scoped(inputs.lay("t", [file], at.work)))
      assert.strictEqual(lost._tag, "FilesLost")
      assert.deepStrictEqual(readdirSync(at.work), [])
    })
  )
})

it("takes a few files of different names, each a path that can be one", () => {
  const read = (files: unknown) => Result.isSuccess(Schema.decodeUnknownResult(TaskSpec)({ prompt: "p", files }))
  for (const files of [[], ["a"], ["a", "../b/c"], ["a/x", { path: "b/x", name: "y" }], [{ path: "/a" }]])
    assert.isTrue(read(files), JSON.stringify(files))
  for (const files of [
    [""],
    ["a/"],
    [".."],
    ["a\0"],
    ["a/x", "b/x"],
    ["x", { path: "y", name: "x" }],
    [{ path: "a", name: "b/c" }],
    [{ path: "a", name: ".." }],
    [{ path: "a", name: "x\ny" }],
    [{ path: "a", name: "ü".repeat(128) }],
    Array.from({ length: 21 }, (_, index) => `f${index}`)
  ])
    assert.isFalse(read(files), JSON.stringify(files).slice(0, 60))
})
