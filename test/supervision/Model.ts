/**
 * What a supervisor is to do, said a second time and as plainly as possible: a state machine without Effect, fibers or
 * a clock. Starts and stops take no time here; pauses do. The property test drives it and the real thing with the same
 * actions and compares what they did.
 */

import type { Ending, Leaf, Tree, World } from "./ModelWorld.ts"

export class Kid {
  status: "starting" | "running" | "restarting" | "stopped" | "ended" = "ended"
  everReady = false
  lives = 0
  restarts = 0
  attempt = 0
  readyAt = 0
  wasReady = false
  requested = false
  inner: Model | undefined = undefined
  cancelPause: (() => void) | undefined = undefined
  readonly plan: Leaf | Tree
  readonly seq: number
  constructor(plan: Leaf | Tree, seq: number) {
    this.plan = plan
    this.seq = seq
  }
}

type Death = { readonly ending: Ending; readonly escalates: boolean }

export class Model {
  phase: "booting" | "running" | "ended" = "booting"
  kids: Array<Kid>
  booted = false
  why: string | undefined = undefined
  escalates = false
  private times: Array<number> = []
  private added = 0
  private later: Array<() => void> = []
  /** group restarts so far */
  private walks = 0
  private group: { readonly from: number; readonly cancel: () => void } | undefined = undefined
  private readonly world: World
  private readonly plan: Tree
  private readonly onEnd: (well: boolean, escalates: boolean) => void

  constructor(world: World, plan: Tree, onEnd: (well: boolean, escalates: boolean) => void) {
    this.world = world
    this.plan = plan
    this.onEnd = onEnd
    this.kids = plan.children.map((child) => new Kid(child, this.added++))
  }

  get ended() {
    return this.phase === "ended"
  }

  boot(): void {
    for (const kid of [...this.kids]) {
      const death = this.begin(kid)
      if (death !== undefined) this.died(kid, death)
      if (this.ended) return
    }
    this.phase = "running"
    this.booted = true
    this.settle()
  }

  private settle(): void {
    for (let next = this.later.shift(); next !== undefined; next = this.later.shift()) {
      if (!this.ended) next()
    }
  }

  private begin(kid: Kid): Death | undefined {
    const isRestart = kid.status === "restarting" && kid.lives > 0
    const { plan } = kid
    kid.lives++
    kid.wasReady = false
    if ("children" in plan) {
      const inner = new Model(this.world, plan, (well, escalates) => {
        if (kid.inner === inner) this.innerEnded(kid, inner, well, escalates)
      })
      inner.boot()
      if (inner.ended && inner.why !== undefined && !inner.booted)
        return { ending: "counted", escalates: inner.escalates }
      kid.inner = inner
      // It ended as soon as it had booted: it was ready first, and its end is heard when all at hand is done.
      if (inner.ended) this.later.push(() => this.innerEnded(kid, inner, inner.why === undefined, inner.escalates))
    } else {
      this.world.log.push(`+${plan.id}`)
      const life = (this.world.lives.get(plan.id) ?? 0) + 1
      this.world.lives.set(plan.id, life)
      const outcome = plan.starts[life - 1] ?? "ready"
      if (outcome !== "ready") {
        this.world.log.push(`-${plan.id}`)
        const ending = outcome === "ignored" ? "stopped" : outcome
        return { ending, escalates: outcome === "escalate" }
      }
      this.world.log.push(`${plan.id}!`)
    }
    kid.status = "running"
    kid.everReady = true
    kid.wasReady = true
    kid.requested = false
    kid.readyAt = this.world.now
    if (isRestart) kid.restarts++
    return undefined
  }

  private innerEnded(kid: Kid, inner: Model, well: boolean, escalates: boolean): void {
    if (kid.inner !== inner || kid.status !== "running") return
    kid.inner = undefined
    this.died(kid, { ending: well ? "normal" : "counted", escalates })
    this.settle()
  }

  /** A leaf ends its life. */
  end(kid: Kid, ending: Ending): void {
    this.world.log.push(`-${kid.plan.id}`)
    this.died(kid, { ending, escalates: ending === "escalate" })
    this.settle()
  }

  private died(kid: Kid, { ending, escalates }: Death) {
    const failed = ending !== "normal" && ending !== "stopped"
    kid.status = ending === "stopped" ? "stopped" : "ended"
    if (kid.requested) {
      kid.requested = false
      if (kid.plan.restart === "temporary" || (failed && kid.lives === 1)) this.drop(kid)
      return
    }
    if (failed && this.phase === "booting" && !kid.everReady) return this.giveUp("start", kid, escalates)
    if (failed && escalates) return this.giveUp("escalated", kid, true)
    const { restart } = kid.plan
    if (restart === "temporary" || ending === "stopped" || (ending === "normal" && restart === "transient")) {
      if (restart === "temporary") this.drop(kid)
      return this.autoShutdown(kid)
    }
    const counted = ending !== "uncounted"
    if (this.plan.strategy === "escalate" && counted) return this.giveUp("strategy", kid, false)
    kid.status = "restarting"
    if (counted) {
      this.times = [...this.times, this.world.now].filter((time) => this.world.now - time <= this.plan.within)
      if (this.times.length > this.plan.maxRestarts) return this.giveUp("intensity", kid, false)
    }
    const delay = this.delay(kid, counted)
    if (this.plan.strategy === "one_for_all" || this.plan.strategy === "rest_for_one") {
      return this.restartGroup(this.plan.strategy === "one_for_all" ? 0 : kid.seq, delay)
    }
    if (delay === 0) return this.again(kid)
    kid.cancelPause = this.world.after(delay, () => {
      kid.cancelPause = undefined
      this.again(kid)
      this.settle()
    })
  }

  private again(kid: Kid) {
    const death = this.begin(kid)
    if (death !== undefined) this.died(kid, death)
  }

  private delay(kid: Kid, counted: boolean): number {
    const own = kid.plan.backoff
    if (own === undefined && counted) return 0
    if (kid.wasReady && this.world.now - kid.readyAt >= (own === undefined ? 300_000 : own * 10)) kid.attempt = 0
    const n = kid.attempt++
    if (own !== undefined) return Math.min(own * 8, own * 2 ** n)
    return n === 0 ? 0 : Math.min(60_000, 1_000 * 2 ** (n - 1))
  }

  private restartGroup(first: number, delay: number) {
    this.walks++
    const from = Math.min(first, this.group?.from ?? first)
    this.group?.cancel()
    this.group = undefined
    for (const kid of this.kids.filter(({ seq }) => seq >= from).reverse()) {
      if (kid.status !== "running") continue
      this.stop(kid)
      kid.status = "restarting"
      if (kid.plan.restart === "temporary") this.drop(kid)
    }
    if (delay === 0) return this.startGroup(from)
    const cancel = this.world.after(delay, () => {
      this.group = undefined
      this.startGroup(from)
      this.settle()
    })
    this.group = { from, cancel }
  }

  private startGroup(from: number) {
    const group = this.kids.filter(({ seq }) => seq >= from)
    for (const kid of group) {
      if (kid.status === "stopped" || kid.status === "running") continue
      const death = this.begin(kid)
      if (death === undefined) continue
      const { walks } = this
      this.died(kid, death)
      // A failure that restarted the group, or ended everything, has gone on from there already.
      if (this.ended || this.walks !== walks) return
    }
  }

  private autoShutdown(kid: Kid) {
    const { autoShutdown } = this.plan
    if (!kid.plan.significant || autoShutdown === "never") return
    const up = this.kids.some(
      (other) => other.plan.significant && (other.status === "running" || other.status === "restarting")
    )
    if (autoShutdown === "any_significant" || !up) this.shutdown()
  }

  private giveUp(why: string, kid: Kid, escalates: boolean) {
    this.why = `${why} ${kid.plan.id}`
    this.escalates = escalates
    this.shutdown()
  }

  /** Stops all, last one first. */
  shutdown(): void {
    if (this.phase === "ended") return
    for (const kid of [...this.kids].reverse()) {
      kid.cancelPause?.()
      if (kid.status === "running") this.stop(kid)
      kid.status = "stopped"
    }
    this.group?.cancel()
    this.phase = "ended"
    this.onEnd(this.why === undefined, this.escalates)
  }

  private stop(kid: Kid): void {
    const { inner } = kid
    kid.inner = undefined
    if (inner !== undefined) inner.shutdown()
    else if (!("children" in kid.plan)) this.world.log.push(`-${kid.plan.id}`)
  }

  private drop(kid: Kid): void {
    this.kids = this.kids.filter((other) => other !== kid)
  }

  // --- requests: the answer is "ok", "pending" or the tag of the error ----------------------------------------------

  startChild(plan: Leaf): string {
    const present = this.kids.find((kid) => kid.plan.id === plan.id)
    if (present !== undefined) return "ChildAlreadyPresent"
    const kid = new Kid(plan, this.added++)
    this.kids.push(kid)
    return this.request(kid)
  }

  restartChild(kid: Kid): string {
    if (kid.status === "running" || kid.status === "restarting" || kid.requested) return "ChildRunning"
    kid.status = "ended"
    return this.request(kid)
  }

  private request(kid: Kid): string {
    kid.requested = true
    if (this.group !== undefined && kid.seq >= this.group.from) return "pending"
    const death = this.begin(kid)
    if (death !== undefined) this.died(kid, death)
    this.settle()
    return death === undefined ? "ok" : "ChildStartFailed"
  }

  terminateChild(kid: Kid): string {
    kid.cancelPause?.()
    kid.cancelPause = undefined
    kid.requested = false
    if (kid.status === "running") this.stop(kid)
    kid.status = "stopped"
    if (kid.plan.restart === "temporary") this.drop(kid)
    return "ok"
  }

  deleteChild(kid: Kid): string {
    if (kid.status === "running" || kid.status === "restarting" || kid.requested) return "ChildRunning"
    this.drop(kid)
    return "ok"
  }
}
