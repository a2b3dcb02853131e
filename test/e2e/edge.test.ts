/**
 * A compiled node with the real CLI whose nats-server is killed: what it does meanwhile reaches the fleet once, in order.
 * `MISTER_SMITH_SEED` repeats the dice of a run.
 */
import { Effect, Exit, Scope } from "effect"
import { connect, type NatsConnection } from "nats"
import { assert, describe, it } from "vitest"
import { Dice } from "../simulation/Dice.ts"
import { finish, type Line } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"
import { type NatsServer, natsServer, noNats } from "../utils/Nats.ts"

const RESULTS = "mister-smith-tasks-results"
const EVENTS = "mister-smith-tasks-events"

const server = async () => {
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(Scope.provide(scope)(natsServer({ jetstream: true })))
  return {
    ...server,
    [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** How often something is killed, or comes back. */
const ROUNDS = 10
const SEED = Number(process.env["MISTER_SMITH_SEED"] ?? Date.now() % 1_000_000)

type Body = Readonly<Record<string, unknown>>
interface Stored {
  readonly subject: string
  readonly body: Body
}

/** All that a stream holds, in its order, read by a client without any code of ours. */
const stored = async (client: NatsConnection, stream: string): Promise<ReadonlyArray<Stored>> => {
  const jsm = await client.jetstreamManager()
  const { state } = await jsm.streams.info(stream)
  const all: Array<Stored> = []
  for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
    const message = await jsm.streams.getMessage(stream, { seq })
    all.push({
      subject: message.subject,
      body: (JSON.parse(new TextDecoder().decode(message.data)) as { body: Body }).body
    })
  }
  return all
}

const client = async (server: NatsServer) => {
  const client = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
}

const member = (url: string, more: Body = {}, edge: Body = { whenCutOff: "storeAndForward" }) => ({
  agents: [agent({ replicas: 2 })],
  transport: { kind: "nats", servers: [url] },
  fleet: { node: "edge-1", takeover: "3 seconds", heartbeat: "500 millis", expire: "2 seconds", edge },
  ...more
})

const twenty = (delay = 50) =>
  Array.from({ length: 20 }, (_, index) => ({ id: `t${index}`, prompt: fake({ text: `done ${index}`, delay }) }))

const isMode = (to: string) => (line: Line) => line.type === "fleet.mode" && line["to"] === to
const isRunning = (line: Line) => line.type === "task.state" && line["to"] === "running"
const isEnd = (line: Line) => line.type === "task.result"
const isEmptied = (line: Line) => isMode("full")(line)

/** Each task's result is there once, with what was done. */
const assertAll = (results: ReadonlyArray<Stored>) => {
  assert.deepEqual(
    results.map(({ body, subject }) => `${subject} ${body["text"]}`).sort(),
    twenty()
      .map(({ id }, index) => `tasks.${id}.result done ${index}`)
      .sort()
  )
}

describe.skipIf(noNats !== undefined)("a node that is cut off", { timeout: 180_000 }, () => {
  it("performs 20 tasks without its servers, and the fleet has each result once when they are there", async () => {
    await using nats = await server()
    await Effect.runPromise(nats.kill)
    await using it = await fleet()
    const node = it.run(member(nats.url, { tasks: twenty() }), "--json")
    await node.waitFor("that it goes on by itself", isMode("store_and_forward"))
    await node.waitFor("20 results", () => node.lines.filter(isEnd).length === 20)
    const ps = await finish(["ps"], { cwd: it.dir })
    await Effect.runPromise(nats.start)
    await node.waitFor("the fleet", isEmptied)
    await using bare = await client(nats)
    assertAll(await stored(bare, RESULTS))
    // Of each task its moves are told in their order, those that were made without a server too.
    let events: ReadonlyArray<Stored> = []
    while (events.filter(({ body }) => body["type"] === "task.state" && body["to"] === "succeeded").length < 20) {
      events = await stored(bare, EVENTS)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    for (const { id } of twenty()) {
      const moves = events.flatMap(({ body }) =>
        body["type"] === "task.state" && body["task"] === id ? [String(body["to"])] : []
      )
      assert.deepEqual(moves, ["queued", "running", "succeeded"], id)
    }
    assert.include(ps.stdout, "store_and_forward")
    node.child.kill("SIGTERM")
    assert.strictEqual(await node.exit, 143, node.stderr())
  })

  it("ends what it had begun while the server is gone for good measure, and begins nothing more of the fleet", async () => {
    await using nats = await server()
    const gone = Promise.withResolvers<string>()
    // No turn ends before, however far apart the two CLIs come up.
    await using it = await fleet({ called: () => gone.promise })
    const node = it.run(member(nats.url, { tasks: twenty() }, {}), "--json")
    await node.waitFor("two attempts", () => node.lines.filter(isRunning).length === 2)
    await Effect.runPromise(nats.kill)
    await node.waitFor("that it takes no more", isMode("no_new_work"))
    gone.resolve("")
    const kept = (line: Line) => line.type === "outbox.kept"
    await node.waitFor("what was kept", () => node.lines.filter(kept).length === 2)
    assert.lengthOf(node.lines.filter(isRunning), 2)
    const idle = (line: Line) => line.type === "agent.state" && line["to"] === "idle" && line["from"] === "busy"
    await node.waitFor("that both are free", () => node.lines.filter(idle).length >= 2)
    await Effect.runPromise(nats.start)
    await node.waitFor("20 results", () => node.lines.filter(({ type }) => type === "task.result").length === 20)
    await using bare = await client(nats)
    let results: ReadonlyArray<Stored> = []
    while (results.length < 20) results = await stored(bare, RESULTS)
    assertAll(results)
    assert.lengthOf(node.lines.filter(isRunning), 20)
    assert.isEmpty(node.lines.filter(({ type }) => type === "outbox.refused"))
    const drained = await finish(["drain"], { cwd: it.dir })
    assert.strictEqual(drained.code, 0, drained.stderr)
    await node.waitFor("that it ends", isMode("draining"))
    assert.strictEqual(await node.exit, 0, node.stderr())
  })

  it("drains without its servers: what runs is ended, kept for the fleet, and told by its next life", async () => {
    await using nats = await server()
    const drains = Promise.withResolvers<string>()
    await using it = await fleet({ called: () => drains.promise })
    const config = member(nats.url, { tasks: twenty() }, {})
    const node = it.run(config, "--json")
    await node.waitFor("two attempts", () => node.lines.filter(isRunning).length === 2)
    await Effect.runPromise(nats.kill)
    await node.waitFor("that it takes no more", isMode("no_new_work"))
    const told = finish(["drain"], { cwd: it.dir })
    await node.waitFor("that it ends", isMode("draining"))
    drains.resolve("")
    const drained = await told
    assert.strictEqual(drained.code, 0, drained.stderr)
    assert.strictEqual(await node.exit, 0, node.stderr())
    assert.lengthOf(node.lines.filter(isRunning), 2)
    assert.lengthOf(
      node.lines.filter(({ type }) => type === "outbox.kept"),
      2
    )
    await Effect.runPromise(nats.start)
    const next = it.run(config, "--json")
    await next.waitFor("20 results", () => next.lines.filter(({ type }) => type === "task.result").length === 20)
    assert.lengthOf(next.lines.filter(isRunning), 18)
    await using bare = await client(nats)
    let results: ReadonlyArray<Stored> = []
    while (results.length < 20) results = await stored(bare, RESULTS)
    assertAll(results)
  })

  it("ends without an answer of its servers, and each task is done once in its next life, or was kept for the fleet", async () => {
    await using nats = await server()
    const gone = Promise.withResolvers<string>()
    await using it = await fleet({ called: () => gone.promise })
    // No question is open that would show that the server hangs, as long as this takes.
    const patient = { kind: "nats", servers: [nats.url], pingInterval: "1 hour" }
    const tasks = twenty().slice(0, 4)
    const node = it.run(member(nats.url, { transport: patient, tasks }, {}), "--json")
    await node.waitFor("two attempts", () => node.lines.filter(isRunning).length === 2)
    await Effect.runPromise(nats.halt)
    gone.resolve("")
    await node.waitFor("what its agents say", ({ type }) => type === "task.progress")
    node.child.kill("SIGTERM")
    assert.strictEqual(await node.exit, 143, node.stderr())
    const order = node.lines.flatMap(({ is, to, type }) =>
      type === "fleet.mode" || type === "transport.status"
        ? [`${type} ${to ?? is}`]
        : type === "runtime.stopped"
          ? [type]
          : []
    )
    // It had found by itself that nobody answers, and has not waited until the connection broke.
    assert.notInclude(order, "transport.status down")
    assert.deepEqual(order.slice(-2), ["fleet.mode no_new_work", "runtime.stopped"])
    const kept = node.lines.flatMap(({ task, type }) => (type === "outbox.kept" ? [task] : []))
    await Effect.runPromise(nats.goOn)
    const next = it.run(member(nats.url, { tasks }, {}), "--json")
    await next.waitFor("4 results", () => next.lines.filter(isEnd).length === 4)
    assert.isEmpty(next.lines.filter((line) => isRunning(line) && kept.includes(line["task"])))
    assert.isEmpty(next.lines.filter(({ type }) => type === "outbox.refused"))
    await using bare = await client(nats)
    let results: ReadonlyArray<Stored> = []
    while (results.length < 4) results = await stored(bare, RESULTS)
    assert.sameMembers(
      results.map(({ subject }) => subject),
      tasks.map(({ id }) => `tasks.${id}.result`)
    )
  })

  it("goes on with its fleet although what it has done is too large for its servers now, which is told there", async () => {
    await using nats = await server()
    const gone = Promise.withResolvers<string>()
    await using it = await fleet({ called: () => gone.promise })
    const tasks = [
      { id: "long", prompt: fake({ text: "x".repeat(200_000) }) },
      { id: "short", prompt: fake({ text: "done" }) },
      { id: "later", prompt: fake({ text: "done later" }) }
    ]
    const node = it.run(member(nats.url, { tasks }, {}), "--json")
    await node.waitFor("two attempts", () => node.lines.filter(isRunning).length === 2)
    await Effect.runPromise(nats.reload(`jetstream { store_dir: "${nats.dir}/store" }\nmax_payload: 100000`))
    await Effect.runPromise(nats.kill)
    await node.waitFor("that it takes no more", isMode("no_new_work"))
    gone.resolve("")
    await node.waitFor("what was kept", () => node.lines.filter(({ type }) => type === "outbox.kept").length === 2)
    await Effect.runPromise(nats.start)
    const refused = await node.waitFor("that it is refused", ({ type }) => type === "outbox.refused")
    assert.deepInclude(refused, { task: "long", attempt: 1 })
    assert.match(String((refused["fault"] as Body)["message"]), /too large/)
    await node.waitFor("the last", (line) => line["task"] === "later" && line["to"] === "succeeded")
    const states = Object.fromEntries(
      node.lines.flatMap((line) => (line.type === "task.state" ? [[String(line["task"]), line["to"]]] : []))
    )
    assert.deepEqual(states, { long: "dead", short: "succeeded", later: "succeeded" })
    const dead = await finish(["tasks", "--state", "dead"], { cwd: it.dir })
    assert.include(dead.stdout, "long")
  })

  it("keeps for its fleet what it has done, also while it works with another one", async () => {
    await using nats = await server()
    const gone = Promise.withResolvers<string>()
    await using it = await fleet({ called: () => gone.promise })
    const of = (prefix: string) =>
      member(nats.url, { transport: { kind: "nats", servers: [nats.url], prefix }, tasks: twenty().slice(0, 1) }, {})
    const node = it.run(of("north"), "--json")
    await node.waitFor("an attempt", isRunning)
    await Effect.runPromise(nats.kill)
    await node.waitFor("that it takes no more", isMode("no_new_work"))
    gone.resolve("")
    await node.waitFor("what was kept", ({ type }) => type === "outbox.kept")
    node.child.kill("SIGTERM")
    await node.exit
    await Effect.runPromise(nats.start)
    const other = it.run(of("south"), "--json")
    const told = await other.waitFor("what it still keeps", ({ type }) => type === "fleet.trouble")
    assert.deepInclude(told, { kind: "OutboxOfOtherFleet" })
    assert.match(String(told["message"]), /north.*1 ends of attempts/)
    // It is another fleet's task, though it has the same name.
    await other.waitFor("its result", isEnd)
    assert.lengthOf(other.lines.filter(isRunning), 1)
    other.child.kill("SIGTERM")
    await other.exit
    const again = it.run(of("north"), "--json")
    await again.waitFor("its result", isEnd)
    assert.isEmpty(again.lines.filter(isRunning))
    for (const { lines } of [other, again])
      assert.isEmpty(lines.filter(({ type }) => type === "outbox.refused" || type === "outbox.kept"))
  })

  it("whenever its server and it itself are killed: each result is there once, and each task is done once", async () => {
    console.info(`seed ${SEED}`)
    const dice = new Dice(SEED)
    await using nats = await server()
    await using it = await fleet()
    const config = member(nats.url, { tasks: twenty(200) })
    let up = true
    let node = it.run(config, "--json")
    for (let round = 0; round < ROUNDS; round++) {
      // What is killed when: so long after the last of these, by the dice.
      await new Promise((resolve) => setTimeout(resolve, dice.between(200, 1_700)))
      if (dice.chance(0.5)) {
        await Effect.runPromise(up ? nats.kill : nats.start)
        up = !up
      } else {
        node.child.kill("SIGKILL")
        await node.exit
        node = it.run(config, "--json")
      }
    }
    if (!up) await Effect.runPromise(nats.start)
    // One that was begun without the fleet, and did not know enough of its tasks, has ended and is begun again.
    const ended = () =>
      new Set(node.lines.filter(({ type }) => type === "task.result").map((line) => line["task"])).size
    while (ended() < 20) {
      if (node.child.exitCode !== null) node = it.run(config, "--json")
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await using bare = await client(nats)
    let results: ReadonlyArray<Stored> = []
    while (results.length < 20) results = await stored(bare, RESULTS)
    assertAll(results)
  })
})
