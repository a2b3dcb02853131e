/**
 * Events delivered to all watchers over the admin socket, with 1 watcher and with 100, in turns within one run; the
 * watchers are this process too, and read bytes only. Prints JSON. `bun scripts/bench/watchers.ts`. `gaps` counts what was
 * left out because a watcher was slower than the history is long.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import * as AdminServer from "../../src/admin/AdminServer.ts"
import { History } from "../../src/admin/History.ts"
import { socketIn } from "../../src/admin/Socket.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { http, node, services } from "../../test/admin/Served.ts"
import { median, round } from "./measure.ts"

const ROUNDS = 5
const EVENTS = 2_000
const MANY = 100
const WORD = "task.progress"

interface Watcher {
  readonly socket: Socket
  seen: number
  gaps: number
}

const watch = (path: string) =>
  Effect.callback<Watcher>((resume) => {
    const watcher: Watcher = { socket: connect(path), seen: 0, gaps: 0 }
    let isOpen = false
    let rest = ""
    watcher.socket.on("data", (bytes) => {
      if (!isOpen) {
        isOpen = true
        resume(Effect.succeed(watcher))
      }
      // What is cut in two between reads is counted with the second.
      const text = rest + bytes.toString("latin1")
      let end = 0
      for (let at = text.indexOf(WORD); at !== -1; at = text.indexOf(WORD, end)) {
        watcher.seen++
        end = at + WORD.length
      }
      rest = text.slice(Math.max(end, text.length - WORD.length + 1))
      if (text.includes("events.gap")) watcher.gaps++
    })
    watcher.socket.write("GET /events?follow=true HTTP/1.1\r\nHost: n\r\nAccept: text/event-stream\r\n\r\n")
  })

/** How often the type stands in one event as it is sent: looked at once, so that the count below is of events. */
const rate = (watchers: number) =>
  Effect.gen(function* () {
    const dir = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "mister-smith-bench-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const history = yield* Layer.build(History.layer)
    yield* AdminServer.serve({ dataDir: dir, name: "n" }).pipe(Effect.provide(node({})), Effect.provideContext(history))
    const bus = yield* EventBus
    const publish = (n: number) =>
      bus.publish({
        type: "task.progress",
        task: `t${n}`,
        agent: "agent",
        doing: "text",
        detail: "has read the report"
      })
    // The first event tells each that it is heard.
    const all = yield* Effect.all(
      Array.from({ length: watchers }, () =>
        Effect.acquireRelease(watch(socketIn(dir)), ({ socket }) => Effect.sync(() => socket.destroy()))
      ),
      { concurrency: "unbounded" }
    )
    const settle = (until: () => boolean) =>
      Effect.gen(function* () {
        while (!until()) yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 1)))
      })
    yield* publish(0)
    yield* settle(() => all.every(({ seen }) => seen > 0))
    const each = all[0]?.seen ?? 1
    for (const watcher of all) watcher.seen = 0
    const began = performance.now()
    for (let n = 1; n <= EVENTS; n++) {
      yield* publish(n)
      if (n % 50 === 0) yield* settle(() => all.every(({ gaps, seen }) => gaps > 0 || seen >= (n - 200) * each))
    }
    yield* settle(() => all.every(({ gaps, seen }) => gaps > 0 || seen >= EVENTS * each))
    const seconds = (performance.now() - began) / 1000
    return { rate: (EVENTS * watchers) / seconds, gaps: all.reduce((sum, { gaps }) => sum + gaps, 0) }
  }).pipe(Effect.scoped, Effect.provide(services()), Effect.provide(http))

const rates = { one: [] as Array<number>, many: [] as Array<number> }
let gaps = 0
for (let turn = 0; turn <= ROUNDS; turn++) {
  const one = await Effect.runPromise(rate(1))
  const many = await Effect.runPromise(rate(MANY))
  // The first turn warms up.
  if (turn === 0) continue
  rates.one.push(one.rate)
  rates.many.push(many.rate)
  gaps += one.gaps + many.gaps
}
console.log(
  JSON.stringify({
    bench: "watchers",
    events: EVENTS,
    watchers: MANY,
    gaps,
    delivered_per_second_to_one: round(median(rates.one)),
    delivered_per_second_to_all: round(median(rates.many)),
    ratio: round(median(rates.many) / median(rates.one))
  })
)
process.exit(0)
