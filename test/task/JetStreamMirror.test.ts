/** What a node makes of what it hears, without a server: pieces that come late, and values that no node has written. */
import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "../../src/domain/Ids.ts"
import type { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { audit } from "../../src/task/JetStreamAudit.ts"
import { JetStreamCommit } from "../../src/task/JetStreamCommit.ts"
import { besideKey, type Entry, encode, lean, pieces, taskKey } from "../../src/task/JetStreamEntry.ts"
import { JetStreamMirror } from "../../src/task/JetStreamMirror.ts"
import { record } from "../utils/Snapshots.ts"

/** Each value that is looked at takes a step; who never ends is stopped. */
class Counted extends JetStreamMirror {
  steps = 0
  override hear(...heard: Parameters<JetStreamMirror["hear"]>): void {
    if (++this.steps > 1_000) throw new Error("it does not end")
    super.hear(...heard)
  }
}

const entryOf = (id: string, given: Partial<Entry> = {}): Entry => ({
  record: { ...record({ id }), spec: { ...record().spec, id: TaskId.make(id) }, state: "queued" },
  attempts: [],
  waits: [],
  born: 1,
  queuedAt: 1,
  owner: undefined,
  ...given
})
const valueOf = (entry: Entry) => encode({ by: "n-1", now: lean(entry) })

const long = (id: string) => {
  const entry = entryOf(id)
  const spec = { ...entry.record.spec, prompt: "x".repeat(700_000) }
  const parts = pieces(spec) ?? []
  const specIn = { id: `of-${id}`, parts: parts.length }
  assert.isAbove(parts.length, 1)
  const value = valueOf({ ...entry, record: { ...entry.record, spec }, specIn })
  return { value, parts: parts.map((bytes, part) => [besideKey(id, specIn, part), bytes] as const) }
}

describe("the mirror", () => {
  it("takes a value that came before its pieces when the last of them has come, whoever else's come between", () => {
    const mirror = new Counted()
    mirror.complete()
    const [one, other] = [long("one"), long("other")]
    mirror.hear(taskKey("one"), 10, one.value)
    mirror.hear(taskKey("other"), 11, other.value)
    for (const [n, [key, bytes]] of one.parts.entries()) {
      assert.isUndefined(mirror.get("one"), `before piece ${n}`)
      mirror.piece(key, bytes)
    }
    assert.strictEqual(mirror.get("one")?.spec.prompt.length, 700_000)
    assert.isUndefined(mirror.get("other"))
    for (const [key, bytes] of other.parts) mirror.piece(key, bytes)
    assert.strictEqual(mirror.get("other")?.spec.prompt.length, 700_000)
  })

  for (const [how, read] of [
    ["is there", undefined],
    ["can be asked by nobody", new Error("503")]
  ] as const)
    it(`knows what it has written over what it heard of with a higher number, and that ${how}`, async () => {
      const mirror = new JetStreamMirror()
      mirror.complete()
      const queued = entryOf("t")
      mirror.hear(taskKey("t"), 214, valueOf(queued))
      let written: Uint8Array | undefined
      // Servers that number their copies otherwise cannot be made to at will.
      const bucket = {
        put: async (_key: string, bytes: Uint8Array) => {
          written = bytes
          return 213
        },
        read: async () => {
          if (read !== undefined) throw read
          return { bytes: written, revision: 213 }
        }
      } as unknown as JetStreamBucket
      const entry = { ...queued, owner: "n", record: { ...queued.record, state: "running" as const, attempt: 1 } }
      const commit = new JetStreamCommit(bucket, mirror, "s")
      const write = { key: taskKey("t"), expected: 214, before: lean(queued), next: entry, entry }
      assert.isTrue(await commit.write([write], new Set()))
      assert.deepInclude(mirror.get("t"), { state: "running", attempt: 1 })
    })

  const good = entryOf("t")
  const changed = (change: object) => ({ by: "x", now: { ...(lean(good) as object), ...change } })
  const changedRecord = (change: object) =>
    changed({ record: { ...(lean(good) as { record: object }).record, ...change } })
  const text = (value: string) => new TextEncoder().encode(value)
  const strange: Record<string, Uint8Array> = {
    "no JSON": text("garbage {"),
    "no text": new Uint8Array([255, 254, 0, 1]),
    nothing: new Uint8Array(0),
    null: text("null"),
    "a number": text("7"),
    "nested without end": text("[".repeat(200_000)),
    "another object": encode({ hello: "world" }),
    "a value without a record": encode({ by: "x", now: {} }),
    "a record that is a number": encode(changed({ record: 5 })),
    "a state that there is not": encode(changedRecord({ state: "enchanted" })),
    "a date that is text": encode(changedRecord({ state: "parked", dueAt: "soon" })),
    "no content": encode(changedRecord({ spec: undefined })),
    "content without a prompt": encode(changedRecord({ spec: { id: "t", type: "task" } })),
    "another task's record": encode(changedRecord({ id: "v" })),
    "an agent that is a number": encode(changedRecord({ agent: 7 })),
    "a schedule that is none": encode(
      changedRecord({ spec: { id: "t", type: "task", prompt: "x", schedule: "soon" } })
    ),
    "an end of a task that cannot be": encode(changedRecord({ state: "succeeded", result: { task: "> *" } })),
    "attempts that are none": encode(changed({ attempts: [null] })),
    "no end of pieces": encode(changed({ specIn: { id: "x", parts: 1e9 } })),
    "born after all numbers": encode(changed({ born: 1e300 })),
    "a lock of a key that cannot be": encode({ by: "x", lock: { tx: "a > b.*", next: {} } })
  }

  for (const [what, bytes] of Object.entries(strange))
    it(`passes over ${what}: where there was nothing nothing is, and a task stays as it was`, () => {
      for (const loading of [true, false]) {
        const mirror = new JetStreamMirror()
        if (!loading) mirror.complete()
        mirror.hear(taskKey("t"), 10, bytes, true)
        mirror.hear(taskKey("u"), 11, valueOf(entryOf("u")), true)
        mirror.hear(taskKey("u"), 12, bytes, true)
        if (loading) mirror.complete()
        assert.deepEqual([...mirror.locks()], [])
        assert.isUndefined(mirror.get("t"))
        assert.strictEqual(mirror.get("u")?.state, "queued")
        // What is written goes over it.
        assert.strictEqual(mirror.at(taskKey("t")).revision, 10)
        assert.strictEqual(mirror.at(taskKey("u")).revision, 12)
        assert.sameMembers([...mirror.passedOver()], [taskKey("t"), taskKey("u")])
        assert.deepEqual(mirror.passedOver(), [])
        mirror.hear(taskKey("t"), 13, valueOf(good), true)
        assert.strictEqual(mirror.get("t")?.state, "queued")
      }
    })

  it("is compared with a leader that has what no node has written, and keeps the task", async () => {
    for (const bytes of Object.values(strange)) {
      const mirror = new JetStreamMirror()
      mirror.complete()
      for (const id of ["t", "u"]) mirror.hear(taskKey(id), 10, valueOf(entryOf(id)))
      const later = encode({ by: "m-1", now: lean(entryOf("u", { queuedAt: 9 })) })
      const leader = new Map([
        [taskKey("t"), bytes],
        [taskKey("u"), later]
      ])
      const bucket = {
        keys: () => Promise.resolve([...leader.keys()]),
        read: (key: string) => Promise.resolve({ revision: 20, bytes: leader.get(key) })
      }
      await audit(bucket as unknown as JetStreamBucket, mirror)
      assert.strictEqual(mirror.get("t")?.state, "queued")
      assert.strictEqual(mirror.entry("u")?.queuedAt, 9)
    }
  })
})
