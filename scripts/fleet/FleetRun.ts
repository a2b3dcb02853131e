/**
 * Nodes that share a ledger, with the real CLI and the stand-in for its model, on one nats-server or a cluster, while nodes and
 * servers are killed, paused and cut off by chance. Then all of them may finish, and check.ts looks at what is left.
 *
 * Tasks are handed in by a client without any code of the runtime's: half of them published to `tasks.task.queue`, half sent to
 * the socket of whatever node answers; again and again until they are acknowledged.
 */
import { appendFileSync, cpSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { connect, type NatsConnection } from "nats"
import { type NatsServer, natsCluster, natsServer } from "../../test/utils/Nats.ts"
import type { LinkedPlace, Network, Place } from "../../test/utils/Netns.ts"
import * as Node from "../crash/Node.ts"
import * as Random from "../crash/Random.ts"
import { type Call, check, isOpen, type Report, wasTakenFrom } from "./check.ts"
import { Member } from "./Member.ts"
import * as Plan from "./Plan.ts"
import { type Records, read } from "./Records.ts"

export interface FleetRunOptions {
  readonly binary: string
  /** A directory of its own. */
  readonly dir: string
  readonly nodes: number
  /** Of each node. */
  readonly agents: number
  readonly tasks: number
  /** How many troubles. */
  readonly rounds: number
  /** One; or more, which are a cluster that keeps all of it on three of them. */
  readonly servers: number
  readonly seed: number
  /** How long a node may be silent before others take what it holds, in milliseconds. */
  readonly takeover: number
  /** Nothing happens but that nodes come late with the answer to what was taken over from them. */
  readonly late?: boolean
  /** Links can be cut in it. Without one all is on loopback. */
  readonly network?: Network
  readonly log: (line: string) => void
}

export interface FleetReport {
  readonly seed: number
  readonly tookSeconds: number
  readonly troubles: Readonly<Record<string, number>>
  /** Lives of nodes. */
  readonly lives: number
  readonly cuts: boolean
  /** Times that a node came with the end of an attempt that no longer held its task. */
  readonly refusedLate: number
  readonly check: Report
  readonly problems: ReadonlyArray<string>
}

/** How long all that is left may take when nothing befalls anybody any more, in milliseconds; and for each task. */
const PATIENCE = 60_000
const PATIENCE_EACH = 1_000
/** Who hand in tasks at once. */
const LANES = 4
/** Between two looks whether all is done, in milliseconds. */
const LOOK = 500
/** What a guardian may take to end what a killed node has started, in milliseconds. */
const GUARDIAN_TIME = 30_000
const MAX_REPLICAS = 3

const ON_LOOPBACK: Place = { address: "127.0.0.1", enter: [] }
const BUCKET = "mister-smith-tasks"
const TYPE = "task"
/** What a node logs when it is refused; what it had kept while it was cut off is an event. Who reports late names an attempt that was; who was beaten to a claim, one that was to be. */
const REFUSED = /attempt (\d+) of task \S+ is over \(now (\d+)\)/g

const late = (member: Member) =>
  [...member.said().matchAll(REFUSED)].filter(([, attempt, now]) => Number(attempt) <= Number(now)).length +
  member.events().filter(({ fault, type }) => type === "outbox.refused" && isSuperseded(fault)).length
const isSuperseded = (fault: unknown) => (fault as { readonly kind?: unknown }).kind === "AttemptSuperseded"
const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))
const isLinked = (place: Place): place is LinkedPlace => "cut" in place

interface Server extends NatsServer {
  readonly place: Place
  busy: boolean
}

export const fleetRun = async (options: FleetRunOptions): Promise<FleetReport> => {
  const { agents, binary, dir, log, network, rounds, seed, takeover } = options
  const began = performance.now()
  const random = Random.make(seed)
  const canCut = network !== undefined
  const fleet = { servers: options.servers, canCut, lease: takeover, late: options.late === true }
  const tasks = Plan.tasksOf(random, options.tasks, fleet)
  const troubles = Plan.troublesOf(random, rounds, fleet)
  const problems: Array<string> = []
  const scope = Effect.runSync(Scope.make())
  const members: Array<Member> = []
  const placeOf = () => (network === undefined ? Promise.resolve(ON_LOOPBACK) : network.place())
  const closing: Array<() => Promise<void>> = []
  let client: NatsConnection | undefined
  let servers: ReadonlyArray<Server> = []

  try {
    servers = await startServers()
    const urls = servers.map(({ url }) => url)
    const replicas = Math.min(options.servers, MAX_REPLICAS)
    for (let number = 1; number <= options.nodes; number++) {
      const config = {
        transport: { kind: "nats", servers: urls },
        fleet: { node: `n${number}`, heartbeat: "1 second", replicas, takeover: `${takeover} millis` }
      }
      const member = await Member.make(
        { name: `n${number}`, dir: join(dir, `n${number}`), binary, place: await placeOf(), agents, config },
        problems
      )
      members.push(member)
      member.start()
    }
    client = await connect({ servers: urls, maxReconnectAttempts: -1, reconnectTimeWait: 50, waitOnFirstConnect: true })
    const history = join(dir, "history")
    const witness = await connect({
      servers: urls,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      waitOnFirstConnect: true
    })
    for (const subject of [`$KV.${BUCKET}.>`, "tasks.*.queue", "tasks.*.result", "fence.>"])
      witness.subscribe(subject, {
        callback: (_, { data, headers: given, subject }) =>
          appendFileSync(
            history,
            `${new Date().toISOString()} ${subject} ${[...(given ?? [])].join(" ")} ${new TextDecoder().decode(data.subarray(0, 400))}\n`
          )
      })
    closing.push(() => witness.close())
    const submitting = submit(client)
    const count = await befall(servers, client)
    log(`all is well again, ${seconds()} s`)
    const acknowledged = await submitting
    const records = await finish(client)
    for (const member of members) await member.stop()
    const calls = members.flatMap((member) =>
      member.calls().flatMap(({ at, call, path, said }): ReadonlyArray<Call> => {
        const task = /\[task (\w+)\]/.exec(said)?.[1]
        return path.endsWith("/messages") && task !== undefined ? [{ node: member.name, call, at, task }] : []
      })
    )
    const left = await nothingLeft()
    const report = check({ records: records ?? (await read(client, BUCKET)), calls, acknowledged })
    return {
      seed,
      tookSeconds: seconds(),
      troubles: count,
      lives: members.reduce((sum, { lives }) => sum + lives, 0),
      cuts: canCut,
      refusedLate: members.reduce((sum, member) => sum + late(member), 0),
      check: report,
      problems: [...problems, ...left, ...report.problems]
    }
  } finally {
    for (const { dir: store, name } of servers) cpSync(store, join(dir, name), { recursive: true })
    await client?.close()
    for (const close of closing) await close()
    for (const member of members) await member.end()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }

  function seconds() {
    return Math.round((performance.now() - began) / 1000)
  }

  async function startServers(): Promise<ReadonlyArray<Server>> {
    const places = await Promise.all(Array.from({ length: options.servers }, placeOf))
    const [place = ON_LOOPBACK] = places
    const started =
      options.servers === 1
        ? Effect.map(natsServer({ jetstream: true, place }), (server) => [server])
        : natsCluster(options.servers, { jetstream: true, places })
    const servers = await Effect.runPromise(Scope.provide(scope)(started))
    return servers.map((server, index) => ({ ...server, place: places[index] ?? ON_LOOPBACK, busy: false }))
  }

  /** Answers with what was acknowledged, when all is. */
  async function submit(client: NatsConnection) {
    const chance = Random.make(seed + 1)
    const acknowledged = new Map<string, ReadonlyArray<string>>()
    const until = performance.now() + PATIENCE + rounds * takeover * 4
    /** False when it has waited too long. */
    const again = async (id: string) => {
      await sleep(100)
      if (performance.now() < until) return true
      problems.push(`${id} was not acknowledged in time`)
      return false
    }
    const gap = (rounds * takeover * LANES) / tasks.length / 2
    const lane = async (number: number) => {
      for (const { after, ...task } of tasks.filter((_, index) => index % LANES === number)) {
        const spec = { ...task, type: TYPE, ...(after === undefined ? {} : { after }) }
        const viaServer = chance.chance(0.5)
        // What is published is in the ledger only when a node has taken it.
        for (const other of after ?? []) while (!(await isThere(client, other))) if (!(await again(other))) return
        while (!(await (viaServer ? publish(client, spec) : send(spec, chance)))) if (!(await again(task.id))) return
        acknowledged.set(task.id, after ?? [])
        if (acknowledged.size % 50 === 0) log(`${acknowledged.size} tasks are acknowledged, ${seconds()} s`)
        await sleep(gap * chance.next())
      }
    }
    await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))
    return acknowledged
  }

  async function isThere(client: NatsConnection, id: string) {
    try {
      const manager = await client.jetstreamManager({ checkAPI: false, timeout: 2_000 })
      await manager.streams.getMessage(`KV_${BUCKET}`, { last_by_subj: `$KV.${BUCKET}.task.${id}` })
      return true
    } catch {
      return false
    }
  }

  async function publish(client: NatsConnection, spec: { readonly id: string }) {
    try {
      await client.jetstream().publish(`tasks.${TYPE}.queue`, JSON.stringify(spec), { msgID: spec.id, timeout: 2_000 })
      return true
    } catch {
      return false
    }
  }

  async function send(spec: { readonly id: string }, chance: Random.Random) {
    const member = chance.pick(members.filter(({ isUp }) => isUp))
    if (member === undefined) return false
    const answer = await Promise.race([Node.ask(member.dataDir, "POST", "/tasks", spec), sleep(2_000)])
    if (answer === undefined || answer.status >= 500) return false
    if (answer.status !== 200) throw new Error(`${spec.id} was refused: ${JSON.stringify(answer)}`)
    return true
  }

  /** One after the other begins; several last at once. Completes when all of them are over. */
  async function befall(servers: ReadonlyArray<Server>, client: NatsConnection) {
    const count: Record<string, number> = {}
    const lasting = new Set<Promise<void>>()
    const free = () => ({
      nodes: members.filter(({ busy }) => !busy),
      servers: servers.filter(({ busy }) => !busy)
    })
    const pick = <A>(from: ReadonlyArray<A>, who: number) => from[Math.floor(who * from.length)]
    // The first is to come in the middle of work.
    const until = performance.now() + PATIENCE
    while (!members.some((member) => member.calls().length > 0)) {
      if (performance.now() > until) throw new Error("no node has begun to work")
      await sleep(100)
    }
    for (const [index, trouble] of troubles.entries()) {
      const { kind, lasts, who } = trouble
      const onServers = kind.toLowerCase().includes("server") || kind === "leaderKilled"
      // A cluster goes on without one of its servers, and one node at least is left alone.
      while (onServers ? free().servers.length < servers.length : free().nodes.length < Math.min(2, members.length))
        await Promise.race([...lasting, sleep(200)])
      const now = free()
      const targets: ReadonlyArray<Member | Server> =
        kind === "allServersKilled"
          ? servers
          : kind === "leaderKilled"
            ? [(await leaderOf(servers, client)) ?? pick(now.servers, who)].flatMap((one) => one ?? [])
            : onServers
              ? [pick(now.servers, who)].flatMap((one) => one ?? [])
              : [pick(now.nodes, who)].flatMap((one) => one ?? [])
      count[kind] = (count[kind] ?? 0) + 1
      log(`${index + 1} of ${rounds}: ${kind} ${targets.map(({ name }) => name)} for ${lasts} ms, ${seconds()} s`)
      for (const target of targets) target.busy = true
      const over = Promise.all(targets.map((target) => bear(trouble, target))).then(
        () => {
          for (const target of targets) target.busy = false
          lasting.delete(over)
        },
        (error: unknown) => {
          problems.push(`${kind} ${targets.map(({ name }) => name)}: ${error}`)
          lasting.delete(over)
        }
      )
      lasting.add(over)
      await sleep(trouble.pause)
    }
    await Promise.all(lasting)
    return count
  }

  async function bear({ cut, kind, lasts }: Plan.Trouble, target: Member | Server): Promise<void> {
    if (kind === "nodeCut" || kind === "serverCut") {
      if (!isLinked(target.place)) throw new Error("it has no link")
      target.place.cut(cut)
      await sleep(lasts)
      return target.place.mend()
    }
    if (target instanceof Member) {
      if (kind === "nodeLate") return comeLate(target, lasts)
      if (kind === "nodeKilled") {
        await target.kill()
        await sleep(lasts)
        return target.start()
      }
      target.halt()
      await sleep(lasts)
      return target.goOn()
    }
    const does = (effect: Effect.Effect<void>) => Effect.runPromise(effect)
    if (kind === "serverPaused") {
      await does(target.halt)
      await sleep(lasts)
      return does(target.goOn)
    }
    await does(target.kill)
    await sleep(lasts)
    await does(target.start)
  }

  /**
   * In the middle of a turn it is halted, until its model has answered and another node has what it held. Where links can be
   * cut it wakes without one, so that it has its answer before it hears what has become of the task.
   */
  async function comeLate(member: Member, lasts: number): Promise<void> {
    const { place } = member
    const until = performance.now() + PATIENCE
    const wait = async (what: string, so: () => boolean | Promise<boolean>) => {
      while (!(await so())) {
        if (performance.now() > until) throw new Error(what)
        await sleep(LOOK / 10)
      }
    }
    const before = member.calls().length
    await wait("it was given nothing to do", () => member.calls().length > before)
    const since = Date.now()
    const kept = () => member.events().filter(({ type }) => type === "outbox.kept").length
    const keptBefore = kept()
    member.halt()
    if (isLinked(place)) place.cut("unplugged")
    await sleep(lasts)
    const taken = async () =>
      client !== undefined && wasTakenFrom((await read(client, BUCKET)).keys, member.name, since)
    try {
      await wait("nobody has taken over what it held", taken)
      member.goOn()
      if (isLinked(place)) await wait("it has kept nothing for the fleet", () => kept() > keptBefore)
    } finally {
      member.goOn()
      if (isLinked(place)) place.mend()
    }
  }

  /** Of the stream that the tasks stand in. */
  async function leaderOf(servers: ReadonlyArray<Server>, client: NatsConnection) {
    try {
      const { cluster } = await (await client.jetstreamManager({ checkAPI: false })).streams.info(`KV_${BUCKET}`)
      return servers.find(({ busy, name }) => name === cluster?.leader && !busy)
    } catch {
      return undefined
    }
  }

  /** Completes when all have ended and been told of. */
  async function finish(client: NatsConnection): Promise<Records | undefined> {
    const until = performance.now() + PATIENCE + tasks.length * PATIENCE_EACH
    let said = 0
    for (;;) {
      const records = await read(client, BUCKET).catch((error: unknown) => void log(`not to be read: ${error}`))
      if (records !== undefined) {
        const open = records.keys.filter(isOpen).length
        const there = records.keys.filter(({ key }) => key.startsWith("task.")).length
        // What was begun by those who died is ended by others, and what was handed in is given to a node again.
        const half = records.queue.length + records.keys.filter(({ key }) => key.startsWith("tx.")).length
        if (open === 0 && half === 0 && there >= tasks.length && records.results.length >= tasks.length) return records
        if (performance.now() - said > 10_000) log(`${there} tasks, ${open} open, ${half} half done, ${seconds()} s`)
        said = performance.now()
      }
      if (performance.now() > until) {
        problems.push("not all was done in time")
        await describe(client)
        return records ?? undefined
      }
      await sleep(LOOK)
    }
  }

  /** For whoever looks for the reason: the streams, their consumers, and what each node knows. */
  async function describe(client: NatsConnection) {
    const say = (name: string, what: unknown) =>
      writeFileSync(join(dir, `${name}.json`), JSON.stringify(what ?? null, undefined, 1))
    const nothing = (error: unknown) => String(error)
    const manager = await client.jetstreamManager({ checkAPI: false })
    const streams = await manager.streams.list().next().catch(nothing)
    say("streams", streams)
    const of = (stream: string) => manager.consumers.list(stream).next().catch(nothing)
    say("consumers", await Promise.all([`KV_${BUCKET}`, `${BUCKET}-queue`].map(of)))
    say("records", await read(client, BUCKET).catch(nothing))
    for (const { dataDir, name } of members)
      say(name, await Promise.race([Node.ask(dataDir, "GET", "/tasks?limit=1000"), sleep(LOOK * 10)]))
  }

  /** A sentence for each that is. */
  async function nothingLeft(): Promise<ReadonlyArray<string>> {
    const until = performance.now() + GUARDIAN_TIME
    for (;;) {
      const left = members.flatMap((member) =>
        member.alive().map((each) => `${member.name} has left ${JSON.stringify(each)}`)
      )
      if (left.length === 0 || performance.now() > until) return left
      await sleep(100)
    }
  }
}
