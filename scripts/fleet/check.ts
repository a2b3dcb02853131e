/**
 * Says what is wrong with what a fleet has left on its servers (Records.ts): what no death, pause or cut may leave behind.
 * It knows nothing of the runtime's code. The second witness is the log of the model that each node has, in which every
 * answer has a name of its own that names the node.
 */
import type { Kept, Message, Records } from "./Records.ts"

/** What a model was asked. */
export interface Call {
  readonly node: string
  readonly call: string
  readonly at: number
  readonly task: string
}

export interface CheckInput {
  readonly records: Records
  readonly calls: ReadonlyArray<Call>
  /** Ids of those that a server or a node has acknowledged, and what each was to come after. All were to succeed. */
  readonly acknowledged: ReadonlyMap<string, ReadonlyArray<string>>
}

export interface Report {
  /** A sentence each; empty where all is as it must be. */
  readonly problems: ReadonlyArray<string>
  readonly tasks: number
  readonly attempts: number
  /** Attempts that were taken from a node that was silent. */
  readonly takenOver: number
  readonly calls: number
  /** Answers of the model that are no task's result: their node was killed, or came late with them. */
  readonly unused: number
  /** By the node that ended them. */
  readonly byNode: Readonly<Record<string, number>>
}

interface Entry {
  readonly record: {
    readonly id: string
    readonly state: string
    readonly attempt: number
    readonly startedAt?: number
    readonly endedAt?: number
    readonly node?: string
    readonly result?: {
      readonly task: string
      readonly status: string
      readonly text: string
      readonly attempts: number
    }
  }
  readonly attempts: ReadonlyArray<Attempt>
  readonly waits: ReadonlyArray<string>
}

interface Attempt {
  readonly attempt: number
  readonly begunAt: number
  readonly endedAt?: number
  readonly ended?: string
  readonly fault?: { readonly kind: string }
  readonly node?: string
}

interface Held {
  readonly now?: Entry
  readonly lock?: unknown
}

/** What an attempt may end with where its task is not over. */
const GIVEN_BACK = new Set(["queued", "parked", "waiting"])
/** An older attempt is forgotten. */
const KEPT_ATTEMPTS = 100

export const check = ({ acknowledged, calls, records }: CheckInput): Report => {
  const problems: Array<string> = []
  const entries = new Map<string, Entry>()
  for (const { key, value } of records.keys) {
    if (key.startsWith("tx.")) problems.push(`${key}: a move was begun and never finished (${JSON.stringify(value)})`)
    if (!key.startsWith("task.")) continue
    const { lock, now } = value as Held
    if (lock !== undefined) problems.push(`${key}: it is locked`)
    if (now === undefined) problems.push(`${key}: it says nothing`)
    else if (entries.has(now.record.id)) problems.push(`${now.record.id}: two keys have it`)
    else entries.set(now.record.id, now)
  }
  for (const id of acknowledged.keys())
    if (!entries.has(id)) problems.push(`${id}: it was acknowledged, and it is not there`)
  for (const id of entries.keys()) if (!acknowledged.has(id)) problems.push(`${id}: nobody has asked for it`)
  for (const { subject } of records.queue) problems.push(`${subject}: it was handed in, and nobody has submitted it`)
  for (const { subject } of records.dispatch) problems.push(`${subject}: it is still given out`)
  for (const { body, subject } of records.dead) problems.push(`${subject}: ${JSON.stringify(body)}`)

  const asked = Map.groupBy(calls, ({ task }) => task)
  const told = Map.groupBy(records.results, ({ body }) => (body["body"] as { task?: string } | undefined)?.task ?? "?")
  const byNode: Record<string, number> = {}
  const used = new Set<string>()
  for (const [id, entry] of entries) {
    const wrong = (what: string) => problems.push(`${id} (${entry.record.state}): ${what}`)
    checkEnd(entry, wrong)
    checkAttempts(entry, wrong)
    const call = checkCalls(entry, asked.get(id) ?? [], wrong)
    if (call !== undefined) {
      used.add(call.call)
      byNode[call.node] = (byNode[call.node] ?? 0) + 1
    }
    checkTold(entry, told.get(id) ?? [], wrong)
    for (const other of acknowledged.get(id) ?? []) {
      const end = entries.get(other)?.record.endedAt
      if (end === undefined || end > (entry.attempts[0]?.begunAt ?? Number.POSITIVE_INFINITY))
        wrong(`it began before ${other} had ended`)
    }
  }
  for (const id of told.keys()) if (!entries.has(id)) problems.push(`${id}: its end was told, and it is not there`)
  for (const id of asked.keys()) if (!entries.has(id)) problems.push(`${id}: it was worked on, and it is not there`)
  const attempts = [...entries.values()].flatMap((entry) => entry.attempts)
  return {
    problems,
    tasks: entries.size,
    attempts: attempts.length,
    takenOver: attempts.filter(({ fault }) => fault?.kind === "LeaseExpired").length,
    calls: calls.length,
    unused: calls.filter(({ call }) => !used.has(call)).length,
    byNode
  }
}

type Wrong = (what: string) => unknown

const checkEnd = ({ record, waits }: Entry, wrong: Wrong) => {
  const { endedAt, id, result, state } = record
  if (state !== "succeeded") return wrong("it did not succeed")
  if (endedAt === undefined) wrong("it has no end")
  if (result === undefined) return wrong("it has no result")
  if (result.task !== id || result.status !== "succeeded")
    wrong(`its result is that of ${result.task}: ${result.status}`)
  if (result.attempts !== record.attempt) wrong(`its result says ${result.attempts} attempts of ${record.attempt}`)
  if (waits.length > 0) wrong(`it waits for ${waits}`)
}

/** One after the other, each ended, the last one well and no other. */
const checkAttempts = ({ attempts, record: { attempt, endedAt } }: Entry, wrong: Wrong) => {
  const first = Math.max(1, attempt - KEPT_ATTEMPTS + 1)
  const expected = Array.from({ length: attempt - first + 1 }, (_, index) => first + index)
  const numbers = attempts.map((each) => each.attempt)
  if (JSON.stringify(numbers) !== JSON.stringify(expected)) wrong(`attempts ${numbers} instead of ${expected}`)
  for (const [index, each] of attempts.entries()) {
    const isLast = index === attempts.length - 1
    if (each.endedAt === undefined || each.ended === undefined) wrong(`attempt ${each.attempt} has no end`)
    else if (isLast ? each.ended !== "succeeded" : !GIVEN_BACK.has(each.ended))
      wrong(`attempt ${each.attempt} of ${attempt} ended as ${each.ended}`)
    const next = attempts[index + 1]
    if (next !== undefined && next.begunAt < (each.endedAt ?? Number.POSITIVE_INFINITY))
      wrong(`attempt ${next.attempt} began before attempt ${each.attempt} had ended`)
    if (isLast && each.endedAt !== endedAt) wrong("its end is not that of its last attempt")
  }
}

/** Its result is what the model has answered to its last attempt, at the node that held it then. */
const checkCalls = ({ attempts, record }: Entry, asked: ReadonlyArray<Call>, wrong: Wrong): Call | undefined => {
  if (asked.length > record.attempt) wrong(`the model was asked ${asked.length} times in ${record.attempt} attempts`)
  const { text = "" } = record.result ?? {}
  const [, task, name] = /^did (\S+) in (\S+)$/.exec(text) ?? []
  const call = asked.find((each) => each.call === name)
  if (task !== record.id || call === undefined) return void wrong(`nobody's model has answered "${text}"`)
  const last = attempts.at(-1)
  const node = last?.node ?? record.node
  if (node !== undefined && node !== call.node) wrong(`its result is of ${call.node}, and ${node} held it`)
  // A node whose attempt was taken from it, and begun by nobody since, brings what it had kept in an attempt of its own.
  const brought = attempts.some(
    (each) => each !== last && each.node === call.node && each.fault?.kind === "LeaseExpired" && each.begunAt <= call.at
  )
  if (last !== undefined && call.at < last.begunAt && !brought)
    wrong(`its result is older than attempt ${last.attempt}`)
  return call
}

/** Once, and as it is. */
const checkTold = ({ record }: Entry, told: ReadonlyArray<Message>, wrong: Wrong) => {
  if (told.length !== 1) wrong(`its end was told ${told.length} times`)
  for (const { body } of told) {
    const { attempt, text } = body["body"] as { readonly attempt?: number; readonly text?: string }
    if (attempt !== record.attempt || text !== record.result?.text)
      wrong(`told was attempt ${attempt} with "${text}", and it is attempt ${record.attempt}`)
  }
}

/** Of keys as they come from a bucket. */
export const isOpen = ({ key, value }: Kept): boolean =>
  key.startsWith("task.") && (value as Held).now?.record.state !== "succeeded"

/** Since then something that this node held was taken over. */
export const wasTakenFrom = (keys: ReadonlyArray<Kept>, node: string, since: number): boolean =>
  keys.some(
    ({ key, value }) =>
      key.startsWith("task.") &&
      (value as Held).now?.attempts.some(
        ({ endedAt = 0, fault, node: by }) => by === node && fault?.kind === "LeaseExpired" && endedAt > since
      )
  )
