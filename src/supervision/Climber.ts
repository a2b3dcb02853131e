/** Where a supervisor stands on its escalation ladder: how it restarts there, how often, and what comes next. */
import { Duration, Effect } from "effect"
import type { Entry } from "./ChildTable.ts"
import type { Engine } from "./Engine.ts"
import { EXIT_CODE, type Rung } from "./EscalationLadder.ts"
import { Intensity } from "./Intensity.ts"
import type { Restarts } from "./Restarts.ts"
import { type Reach, reachOf } from "./Strategy.ts"
import type { SupervisorGaveUp } from "./SupervisionError.ts"

export class Climber<R> {
  reach: Reach
  private readonly engine: Engine<R>
  private readonly restarts: Restarts<R>
  private intensity: Intensity
  /** the rung to try next */
  private rung = 0
  private last = Number.NEGATIVE_INFINITY

  constructor(engine: Engine<R>, restarts: Restarts<R>) {
    const { maxRestarts, strategy, withinMillis } = engine.settings
    this.engine = engine
    this.restarts = restarts
    this.reach = reachOf(strategy)
    this.intensity = new Intensity(maxRestarts, withinMillis)
  }

  /** Counts a restart at `now` (monotonic milliseconds) and says whether it is allowed. */
  allows(now: number): boolean {
    const { ladder, maxRestarts, strategy, withinMillis } = this.engine.settings
    const before = this.last
    this.last = now
    // A long time without a restart: back on the ground.
    if (this.rung > 0 && now - before >= Duration.toMillis(ladder?.resetAfter ?? "5 minutes")) {
      this.rung = 0
      this.reach = reachOf(strategy)
      this.intensity = new Intensity(maxRestarts, withinMillis)
    }
    return this.intensity.allows(now)
  }

  /** Restarts are used up, or cannot help: tries the next rung, and gives up when there is none. */
  climb(why: SupervisorGaveUp["why"], entry: Entry<R>): void {
    const rungs = this.engine.settings.ladder?.rungs ?? []
    while (true) {
      const rung = rungs[this.rung]
      if (rung === undefined) {
        this.restarts.giveUp(why, entry)
        return
      }
      this.rung++
      if (this.act(rung, why, entry)) return
    }
  }

  /** True when this rung is where the supervisor stands now; false when it is to climb on. */
  private act(rung: Rung, why: SupervisorGaveUp["why"], entry: Entry<R>): boolean {
    switch (rung.do) {
      case "notify":
        this.tell(rung, entry)
        this.engine.errands.run(Effect.suspend(() => rung.notify(this.restarts.errorOf(why, entry))))
        return false
      case "stop_node":
        this.tell(rung, entry)
        this.restarts.giveUp(why, entry, rung.exitCode ?? EXIT_CODE)
        return true
      case "restart_group":
        if (why === "escalated") return false
        this.tell(rung, entry)
        this.intensity = new Intensity(rung.maxRestarts, Duration.toMillis(rung.within))
        this.intensity.allows(this.engine.now)
        this.reach = "all"
        entry.status = "restarting"
        this.restarts.restartGroup(0, 0)
        return true
      case "start_standby":
        return this.startStandby(rung, entry)
    }
  }

  private startStandby(rung: Rung & { readonly do: "start_standby" }, failed: Entry<R>): boolean {
    const { engine } = this
    const standby = engine.table.get(rung.child)
    if (standby === undefined || standby.life !== undefined || standby === failed) return false
    this.tell(rung, failed)
    failed.status = "stopped"
    failed.note = `failed too often, and the standby "${rung.child}" was started in its place`
    this.intensity = new Intensity(engine.settings.maxRestarts, engine.settings.withinMillis)
    engine.launch(standby)
    return true
  }

  private tell(rung: Rung, entry: Entry<R>): void {
    const child = entry.child.id
    const why = `the restarts of child "${child}" are used up, or cannot help`
    this.engine.teller?.say({ _tag: "LadderClimbed", why, child, rung: this.rung, action: rung.do })
  }
}
