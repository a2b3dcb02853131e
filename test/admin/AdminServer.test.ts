import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import { NodeStopping, NodeUnreachable, Refused, SocketUnusable } from "../../src/admin/AdminError.ts"
import * as AdminServer from "../../src/admin/AdminServer.ts"
import { History } from "../../src/admin/History.ts"
import { socketIn } from "../../src/admin/Socket.ts"
import { AgentUnknown } from "../../src/agent/AgentError.ts"
import { type Fault, follow } from "../../src/domain/Fault.ts"
import type { TaskResult } from "../../src/domain/Task.ts"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { ChildRunning } from "../../src/supervision/ChildError.ts"
import {
  LedgerFull,
  LedgerUnusable,
  TaskConflict,
  TaskEnded,
  TaskInvalid,
  TaskNotDead,
  TaskUnknown
} from "../../src/task/TaskError.ts"
import { TaskSpec } from "../../src/task/TaskSpec.ts"
import { done } from "../utils/Results.ts"
import { ask, client, directory, node, record, served, services } from "./Served.ts"

const taskOf = Schema.decodeUnknownSync(TaskSpec)

const result = (task: string, more: Partial<TaskResult> = {}): TaskResult =>
  done(task, { text: "forty-two", agent: "worker", session: "s", tookMillis: 5, ...more })

/** Somebody who has sent this, and neither reads nor goes away. */
const connected = (dir: string, text: string) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Socket>((resolve) => {
          const socket = connect(socketIn(dir), () => {
            socket.write(text)
            resolve(socket)
          })
          socket.pause()
          socket.on("error", () => {})
        })
    ),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("what is asked", () => {
  it.live("is answered by the node", () =>
    Effect.gen(function* () {
      const all = [record("a"), record("b", { state: "running", agent: "worker", attempt: 1 }), record("c")]
      const it = yield* served(yield* directory, {
        tasks: ({ limit, states }) =>
          Effect.succeed(
            all
              .filter(({ state }) => states?.includes(state) ?? true)
              .toReversed()
              .slice(0, limit)
          ),
        task: (id) => Effect.succeed(record(id)),
        attempts: () =>
          Effect.succeed([
            { attempt: 1, agent: "worker", begunAt: 5, endedAt: 6, ended: "parked" as const, fault: undefined }
          ]),
        submit: (task) => Effect.succeed(record(task.id ?? "made-up")),
        result: (task) => Effect.succeed(result(task, { output: { n: 7 } })),
        explain: (agent) => Effect.succeed(`${agent} runs`),
        usage: () =>
          Effect.succeed({
            at: 1,
            cpuMillis: 7,
            cpuPercent: undefined,
            memory: 2 ** 20,
            memoryPeak: 2 ** 21,
            processes: 2,
            threads: 3,
            descriptors: undefined,
            ioRead: undefined,
            ioWritten: undefined
          }),
        agents: Effect.succeed([
          {
            id: "worker",
            group: "worker",
            taskTypes: [],
            capabilities: [],
            weight: 1,
            state: "busy",
            gone: false,
            holds: undefined
          }
        ]),
        tree: Effect.succeed({
          path: "agents",
          strategy: "one_for_one",
          phase: "running",
          failure: undefined,
          children: [
            {
              id: "worker",
              kind: "worker",
              restart: "permanent",
              status: "running",
              restarts: 2,
              uptimeMillis: 1.5,
              restartInMillis: undefined,
              lastFailure: { kind: "Crash", message: "it crashed", severity: "high", recovery: "restart", at: 3 },
              lastEnding: "failed",
              note: undefined,
              supervisor: undefined
            }
          ]
        })
      })
      const list = yield* it.ask((client) => client.tasks({ query: { limit: 2 } }))
      assert.isTrue(list.more)
      assert.deepStrictEqual(
        list.tasks.map(({ id }) => id),
        ["b", "c"]
      )
      const running = yield* it.ask((client) => client.tasks({ query: { state: "running" } }))
      assert.isFalse(running.more)
      assert.deepInclude(running.tasks[0], { id: "b", prompt: "do b", agent: "worker" })
      assert.deepInclude(yield* it.ask((client) => client.task({ params: { id: "c" } })), { id: "c", prompt: "do c" })
      assert.deepInclude((yield* it.ask((client) => client.task({ params: { id: "c" } }))).history[0], {
        attempt: 1,
        begunAt: 5,
        ended: "parked"
      })
      assert.strictEqual(
        (yield* it.ask((client) => client.submit({ payload: taskOf({ id: "new", prompt: "p" }) }))).id,
        "new"
      )
      assert.deepStrictEqual(yield* it.result("x"), result("x", { output: { n: 7 } }))
      assert.deepStrictEqual(yield* it.ask((client) => client.explain({ params: { id: "worker" } })), {
        agent: "worker",
        why: "worker runs"
      })
      const tree = yield* it.ask((client) => client.tree())
      assert.include(tree.agents[0], { id: "worker", state: "busy", task: "b" })
      assert.include(tree.agents[0]?.usage, { memory: 2 ** 20, processes: 2 })
      assert.include(tree.tree.children[0], { restarts: 2, uptimeMillis: 1.5 })
      assert.include(tree.tree.children[0]?.lastFailure, { kind: "Crash" })
      assert.include(tree.node, { name: "n", pid: process.pid })
    }).pipe(Effect.provide(services()))
  )

  it.live("and refused comes back as the error it was, message and hint included", () =>
    Effect.gen(function* () {
      const refusals = [
        new TaskConflict({ task: "t" }),
        new LedgerFull({ limit: 3 }),
        new TaskInvalid({ problem: "p" })
      ] as const
      let next = 0
      const it = yield* served(yield* directory, {
        task: (task) => Effect.fail(new TaskUnknown({ task })),
        submit: () => Effect.suspend(() => Effect.fail(refusals[next++] as Fault)),
        explain: (agent) => Effect.fail(new AgentUnknown({ agent, known: ["a", "b"] })),
        startAgent: (child) => Effect.fail(new ChildRunning({ supervisor: "agents", child, status: "running" }))
      })
      for (const refusal of refusals) {
        const error = yield* Effect.flip(it.ask((client) => client.submit({ payload: taskOf({ prompt: "p" }) })))
        assert.strictEqual(error.constructor, refusal.constructor)
        assert.include(error, { message: refusal.message, hint: refusal.hint })
      }
      const unknown = yield* Effect.flip(it.ask((client) => client.explain({ params: { id: "x/../y z" } })))
      assert.instanceOf(unknown, AgentUnknown)
      assert.strictEqual(unknown.message, 'there is no agent named "x/../y z"')
      assert.strictEqual(unknown.hint, "its agents are a, b")
      const missing = yield* Effect.flip(it.ask((client) => client.task({ params: { id: "nope" } })))
      assert.instanceOf(missing, TaskUnknown)
      const running = yield* Effect.flip(it.wait((client) => client.startAgent({ params: { id: "a" } })))
      assert.instanceOf(running, ChildRunning)
    }).pipe(Effect.provide(services()))
  )

  it.live("about a task is refused with the ledger's own errors, each with its status", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const unusable = new LedgerUnusable({ where: "file", problem: "full", detail: "ENOSPC" })
      const it = yield* served(dir, {
        cancel: (task, why) =>
          Effect.fail(why === undefined ? new TaskUnknown({ task }) : new TaskEnded({ task, state: "succeeded" })),
        task: (id) => (id === "t" ? Effect.succeed(record(id, { state: "succeeded" })) : Effect.fail(unusable)),
        attempts: () => Effect.fail(unusable),
        tasks: () => Effect.fail(unusable)
      })
      const cancel = (payload: { readonly why?: string }) =>
        Effect.flip(it.ask((client) => client.cancelTask({ params: { id: "t" }, payload })))
      assert.instanceOf(yield* cancel({}), TaskUnknown)
      assert.include(yield* cancel({ why: "w" }), { _tag: "TaskEnded", state: "succeeded" })
      // What succeeded is not done once more: nothing is submitted, or this node would die of it.
      const retried = yield* Effect.flip(it.ask((client) => client.retryTask({ params: { id: "t" } })))
      assert.instanceOf(retried, TaskEnded)
      const listed = yield* Effect.flip(it.ask((client) => client.tasks({ query: {} })))
      assert.instanceOf(listed, LedgerUnusable)
      assert.include(listed, { message: unusable.message, hint: unusable.hint, severity: unusable.severity })
      const statusOf = (method: string, path: string, body?: string) =>
        Effect.map(
          ask(socketIn(dir), method, path, {
            ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } })
          }),
          ({ status }) => status
        )
      assert.deepStrictEqual(
        yield* Effect.all([
          statusOf("POST", "/tasks/t/cancel", "{}"),
          statusOf("POST", "/tasks/t/cancel", '{"why":"w"}'),
          statusOf("POST", "/tasks/t/cancel", '{"wyh":"w"}'),
          statusOf("POST", "/tasks/t/retry"),
          statusOf("GET", "/tasks"),
          statusOf("GET", "/tasks/other")
        ]),
        [404, 409, 400, 409, 503, 503]
      )
    }).pipe(Effect.provide(services()))
  )

  it.live("once more of a task that failed is what it was, again", () =>
    Effect.gen(function* () {
      const failed = record("t", { state: "failed", attempt: 3 })
      const submitted: Array<unknown> = []
      const it = yield* served(yield* directory, {
        task: () => Effect.succeed(failed),
        submit: (task, options) =>
          Effect.sync(() => {
            submitted.push(task, options)
            return record("t", { attempt: 3 })
          })
      })
      const view = yield* it.ask((client) => client.retryTask({ params: { id: "t" } }))
      assert.include(view, { state: "queued", attempt: 3 })
      assert.deepStrictEqual(submitted, [failed.spec, { again: true }])
    }).pipe(Effect.provide(services()))
  )

  it.live("about a dead letter is passed on, and refused as what it is where it is none", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const it = yield* served(dir, {
        replay: (task) =>
          task === "t"
            ? Effect.succeed(record(task, { attempt: 3, before: 3 }))
            : Effect.fail(new TaskNotDead({ task, state: "failed" })),
        drop: (task) =>
          task === "t" ? Effect.succeed(record(task, { state: "cancelled" })) : Effect.fail(new TaskUnknown({ task }))
      })
      const replay = (id: string) => it.ask((client) => client.replayTask({ params: { id } }))
      const drop = (id: string) => it.ask((client) => client.dropTask({ params: { id } }))
      assert.include(yield* replay("t"), { state: "queued", attempt: 3 })
      assert.include(yield* drop("t"), { state: "cancelled" })
      assert.include(yield* Effect.flip(replay("u")), { _tag: "TaskNotDead", state: "failed" })
      assert.instanceOf(yield* Effect.flip(drop("u")), TaskUnknown)
      const { status } = yield* ask(socketIn(dir), "POST", "/tasks/u/replay")
      assert.strictEqual(status, 409)
    }).pipe(Effect.provide(services()))
  )

  it.live("with limits is passed on as they were meant, and answered with what cannot be had", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const it = yield* served(dir, {
        limitAgent: (agent, limits) =>
          Effect.succeed([{ limit: JSON.stringify({ agent, ...limits }), why: "w", instead: "nothing" as const }])
      })
      const limits = { memory: 2 ** 31, cpus: 1.5, enforce: "best_effort" as const }
      const [unenforced] = yield* it.ask((client) => client.limitAgent({ params: { id: "a" }, payload: limits }))
      assert.deepStrictEqual(JSON.parse(unenforced?.limit ?? ""), { agent: "a", ...limits })
      const body = '{"memory":"lots","cpus":0}'
      const wrong = yield* ask(socketIn(dir), "POST", "/agents/a/limits", {
        body,
        headers: { "content-type": "application/json" }
      })
      assert.strictEqual(wrong.status, 400)
      assert.match(wrong.body, /memory: .*cpus: /)
    }).pipe(Effect.provide(services()))
  )

  it.live("and fails of what the route does not name is told all the same", () =>
    Effect.gen(function* () {
      class DiskOnFire extends Schema.TaggedError<DiskOnFire, Fault>("test/DiskOnFire")("DiskOnFire", {}) {
        static {
          follow(this, { severity: "critical", recovery: "escalate", hint: "fetch water" })
        }
        override get message() {
          return "the disk is on fire"
        }
      }
      const it = yield* served(yield* directory, { submit: () => Effect.fail(new DiskOnFire()) })
      const error = yield* Effect.flip(it.ask((client) => client.submit({ payload: taskOf({ prompt: "p" }) })))
      assert.instanceOf(error, Refused)
      assert.include(error, { message: "the disk is on fire", hint: "fetch water", severity: "critical" })
    }).pipe(Effect.provide(services()))
  )

  it.live("is listed in an OpenAPI document", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      yield* served(dir, {})
      const { body, status } = yield* ask(socketIn(dir), "GET", "/openapi.json")
      assert.strictEqual(status, 200)
      const { paths } = JSON.parse(body) as { readonly paths: Record<string, Record<string, unknown>> }
      assert.hasAllKeys(paths, [
        "/node",
        "/nodes",
        "/drain",
        "/reload",
        "/tree",
        "/events",
        "/tasks",
        "/tasks/{id}",
        "/tasks/{id}/result",
        "/tasks/{id}/cancel",
        "/tasks/{id}/replay",
        "/tasks/{id}/drop",
        "/tasks/{id}/retry",
        "/tasks/{id}/explain",
        "/agents/{id}/restart",
        "/agents/{id}/stop",
        "/agents/{id}/start",
        "/agents/{id}/pause",
        "/agents/{id}/resume",
        "/agents/{id}/interrupt",
        "/agents/{id}/tell",
        "/agents/{id}/model",
        "/agents/{id}/limits",
        "/agents/{id}/explain",
        "/agents/{id}/moves"
      ])
      const post = paths["/tasks"]?.["post"] as { readonly responses: object } | undefined
      assert.containsAllKeys(post?.responses, ["200", "409", "422", "503"])
    }).pipe(Effect.provide(services()))
  )

  it.live("in a way that cannot be understood is refused with every mistake, and nothing is done", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      // Whatever is asked of this node, it dies of.
      yield* served(dir, {})
      const post = (body: string, type = "application/json") =>
        ask(socketIn(dir), "POST", "/tasks", { body, headers: { "content-type": type } })
      const invalid = yield* post('{"id":"a b","promt":1}')
      assert.strictEqual(invalid.status, 422)
      for (const part of ["TaskInvalid", "promt", "id: expected at most 128 letters", "prompt"]) {
        assert.include(invalid.body, part)
      }
      assert.strictEqual((yield* post("{")).status, 422)
      assert.strictEqual((yield* post('"x"')).status, 422)
      assert.isAtLeast((yield* post("prompt=x", "text/plain")).status, 400)
      assert.strictEqual((yield* post(`{"prompt":"${"x".repeat(AdminServer.MAX_BODY)}"}`)).status, 413)
      assert.strictEqual((yield* ask(socketIn(dir), "GET", "/tasks?state=odd")).status, 400)
      assert.strictEqual((yield* ask(socketIn(dir), "GET", "/tasks?limit=-1")).status, 400)
      assert.strictEqual((yield* ask(socketIn(dir), "GET", "/nowhere")).status, 404)
      assert.strictEqual((yield* ask(socketIn(dir), "GET", "/node")).status, 200)
    }).pipe(Effect.provide(services()))
  )

  it.live("in what is no HTTP at all does no harm", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      yield* served(dir, {})
      const garbage = [
        "\0\xff\xfe garbage\r\n\r\n",
        "GET /node HTTP/9.9\r\n\r\n",
        "POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
        // Goes away in the middle of its body.
        'POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"prompt":'
      ]
      for (const text of garbage) {
        yield* Effect.promise(
          () =>
            new Promise<void>((resolve) => {
              const socket = connect(socketIn(dir), () => {
                socket.end(Buffer.from(text, "latin1"))
              })
              socket.on("data", () => {})
              socket.on("error", () => resolve())
              socket.on("close", () => resolve())
            })
        )
        assert.strictEqual((yield* ask(socketIn(dir), "GET", "/node")).status, 200)
      }
    }).pipe(Effect.provide(services()))
  )
})

describe("an agent", () => {
  it.live("is stopped whole, also for a caller who goes away meanwhile", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const begun = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<Exit.Exit<void>>()
      const it = yield* served(dir, {
        stopAgent: () =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Deferred.await(goOn)),
            Effect.onExit((exit) => Deferred.succeed(stopped, exit))
          )
      })
      const caller = yield* Effect.forkChild(it.wait((client) => client.stopAgent({ params: { id: "worker" } })))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(caller)
      // Another request is answered after the server has heard of it.
      yield* it.ask((client) => client.node())
      yield* Deferred.succeed(goOn, undefined)
      assert.isTrue(Exit.isSuccess(yield* Deferred.await(stopped)))
    }).pipe(Effect.provide(services()))
  )
})

describe("events", () => {
  const say = (version: string) =>
    Effect.flatMap(EventBus, (bus) => bus.publish({ type: "runtime.started", name: "n", version, agents: 1 }))
  const versions = (events: ReadonlyArray<Record<string, unknown>>) =>
    events.map((event) => (event["type"] === "events.gap" ? "gap" : event["version"]))

  it.live("are live once the answer has begun, and end with the node", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const scope = yield* Scope.make()
      yield* Scope.provide(served(dir, {}), scope)
      const it = yield* client(socketIn(dir))
      const events = yield* it.events({ follow: true })
      const first = yield* Deferred.make<void>()
      const reader = yield* events.pipe(
        Stream.tap(() => Deferred.succeed(first, undefined)),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* say("1")
      yield* Deferred.await(first)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(versions(yield* Fiber.join(reader)), ["1"])
    }).pipe(Effect.provide(services()))
  )

  it.live("go on where a reader was, and say what is missing where that was in another run", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const it = yield* served(dir, {})
      const live = yield* it.events({ follow: true })
      yield* say("1")
      yield* say("2")
      yield* say("3")
      yield* Stream.runDrain(Stream.take(live, 3))
      const all = yield* ask(socketIn(dir), "GET", "/events?follow=false")
      const ids = [...all.body.matchAll(/^id: ?(.*)$/gm)].map(([, id = ""]) => id)
      assert.lengthOf(ids, 3)
      const since = (id: string) =>
        Effect.map(
          ask(socketIn(dir), "GET", "/events?follow=false", { headers: { "last-event-id": id } }),
          ({ body }) =>
            versions([...body.matchAll(/^data: ?(.*)$/gm)].map(([, data = ""]) => JSON.parse(data) as Published))
        )
      assert.deepStrictEqual(yield* since(ids[0] ?? ""), ["2", "3"])
      assert.deepStrictEqual(yield* since(ids[2] ?? ""), [])
      assert.deepStrictEqual(yield* since("another-7"), ["gap", "1", "2", "3"])
    }).pipe(Effect.provide(services()))
  )

  it.live("are of one task or agent only where that is asked", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const it = yield* served(dir, {})
      const live = yield* it.events({ follow: true })
      const bus = yield* EventBus
      for (const task of ["a", "b"]) {
        for (const agent of ["x", "y"]) {
          yield* bus.publish({ type: "task.progress", task, agent, doing: "text", detail: `${task}${agent}` })
        }
      }
      yield* Stream.runDrain(Stream.take(live, 4))
      const of = (about: { readonly task?: string; readonly agent?: string }) =>
        Effect.flatMap(it.events({ follow: false, ...about }), (events) =>
          Effect.map(Stream.runCollect(events), (found) => found.map((event) => event["detail"]))
        )
      assert.deepStrictEqual(yield* of({ task: "a" }), ["ax", "ay"])
      assert.deepStrictEqual(yield* of({ agent: "y" }), ["ay", "by"])
      assert.deepStrictEqual(yield* of({ task: "b", agent: "x" }), ["bx"])
    }).pipe(Effect.provide(services()))
  )

  it.live("are given up for a reader who goes away in the middle", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const gone = yield* Deferred.make<void>()
      const endless = Stream.fromEffectRepeat(
        Effect.as(Effect.sleep("1 millis"), { type: "runtime.stopped", seq: 1, at: 1 } satisfies Published)
      )
      yield* AdminServer.serve({ dataDir: dir, name: "n" }).pipe(
        Effect.provide(node({})),
        Effect.provideService(
          History,
          History.of({
            read: () => Effect.succeed(Stream.ensuring(endless, Deferred.succeed(gone, undefined)))
          })
        )
      )
      const it = yield* client(socketIn(dir))
      const events = yield* it.events({ follow: true })
      yield* Stream.runDrain(Stream.take(events, 3))
      yield* Deferred.await(gone)
      yield* it.ask((client) => client.node())
    }).pipe(Effect.provide(services()))
  )
})

describe("a reader who does not read", () => {
  it.live("costs what the kernel holds for it, and nobody else waits", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      let told = 0
      const events = Stream.range(1, 1000).pipe(
        Stream.rechunk(1),
        Stream.map((seq): Published => {
          told++
          return { type: "runtime.started", name: "x".repeat(100_000), version: "1", agents: 1, seq, at: 1 }
        })
      )
      yield* AdminServer.serve({ dataDir: dir, name: "n" }).pipe(
        Effect.provide(node({})),
        Effect.provideService(History, History.of({ read: () => Effect.succeed(events) }))
      )
      yield* connected(dir, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
      while (told === 0) yield* ask(socketIn(dir), "GET", "/node")
      for (let n = 0; n < 100; n++) yield* ask(socketIn(dir), "GET", "/node")
      assert.isBelow(told, 1000)
    }).pipe(Effect.provide(services()))
  )
})

describe("the end of the node", () => {
  it.live("is not held up by whoever is connected, and waits for an answer that is being given", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const scope = yield* Scope.make()
      const asked = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* Scope.provide(
        served(dir, {
          result: () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never),
          explain: () => Effect.as(Deferred.await(ended), "because")
        }),
        scope
      )
      const it = yield* client(socketIn(dir))
      // One says nothing, one does not finish its request, one waits for what never comes, one is nearly answered.
      yield* connected(dir, "")
      yield* connected(dir, "POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Le")
      const waits = yield* Effect.forkChild(Effect.flip(it.result("t")))
      const why = yield* Effect.forkChild(it.ask((client) => client.explain({ params: { id: "a" } })))
      yield* Deferred.await(asked)
      yield* it.ask((client) => client.node())
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Deferred.succeed(ended, undefined)
      assert.strictEqual((yield* Fiber.join(why)).why, "because")
      yield* Fiber.join(closed)
      const waited = yield* Fiber.join(waits)
      assert.instanceOf(waited, NodeStopping)
      assert.match(`${waited.message} ${waited.hint}`, /stopped before task "t" had ended.*mister-smith task t/)
      assert.isFalse(existsSync(socketIn(dir)))
    }).pipe(Effect.provide(services()))
  )
})

describe("the socket", () => {
  it.live("may be opened by its owner only, and is gone when the server is", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* served(dir, {})
          assert.strictEqual(statSync(socketIn(dir)).mode & 0o777, 0o600)
          assert.deepStrictEqual(readdirSync(dir), ["admin.sock"])
        })
      )
      assert.isFalse(existsSync(socketIn(dir)))
      assert.deepStrictEqual(readdirSync(dir), [])
    }).pipe(Effect.provide(services()))
  )

  it.live("that a dead runtime has left is replaced", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      writeFileSync(socketIn(dir), "left")
      const it = yield* served(dir, {})
      assert.strictEqual((yield* it.ask((client) => client.node())).dataDir, dir)
    }).pipe(Effect.provide(services()))
  )

  it.live("that cannot be is a typed error with a hint", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const deep = join(dir, "d".repeat(120))
      const far = yield* Effect.flip(served(deep, {}))
      assert.instanceOf(far, SocketUnusable)
      assert.match(`${far.message} ${far.hint}`, /too long.*107 bytes/)
      mkdirSync(join(socketIn(dir), "in-the-way"), { recursive: true })
      const taken = yield* Effect.flip(served(dir, {}))
      assert.instanceOf(taken, SocketUnusable)
      assert.include(taken.hint, "data directory")
      const absent = yield* Effect.flip(served(join(dir, "not", "there"), {}))
      assert.instanceOf(absent, SocketUnusable)
    }).pipe(Effect.provide(services()))
  )

  it.live("behind which there is no node is told as that", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const unreachable = (socket: string) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip((yield* client(socket)).ask((client) => client.node()))
          assert.instanceOf(error, NodeUnreachable)
          assert.strictEqual(error.exitCode, 3)
          return `${error.message} ${error.hint}`
        })
      assert.match(yield* unreachable(socketIn(dir)), /no such socket.*mister-smith run.*--data-dir/)
      writeFileSync(join(dir, "file"), "")
      assert.match(yield* unreachable(join(dir, "file")), /no running node can be reached/)
      assert.match(yield* unreachable(join(dir, "file", "x")), /no running node can be reached/)
      assert.match(yield* unreachable(`/${"x".repeat(200)}`), /too long.*107 bytes/)
      // Its process has died, and its file is there still.
      const left = join(dir, "left.sock")
      const server = createServer()
      yield* Effect.promise(() => new Promise<void>((resolve) => void server.listen(left, resolve)))
      // biome-ignore lint/suspicious/noExplicitAny: closed without the removal of its file, as the kernel does it
      yield* Effect.promise(() => new Promise<void>((resolve) => (server as any).close(() => resolve())))
      if (!existsSync(left)) writeFileSync(left, "")
      assert.match(yield* unreachable(left), /no running node can be reached/)
    }).pipe(Effect.provide(services()))
  )
})
