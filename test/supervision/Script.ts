/** Children that do as they are told, and a notebook of what happened in which order. */
import { Deferred, Effect, Exit, Scope } from "effect"
import type { Fault } from "../../src/domain/Fault.ts"
import type { Child } from "../../src/supervision/Child.ts"
import type { SupervisionEvent } from "../../src/supervision/SupervisionEvent.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"

/** A failure with whatever properties a test needs. */
export class Boom implements Fault {
  readonly _tag = "Boom"
  readonly severity = "medium"
  readonly message: string
  readonly recovery: Fault["recovery"]
  readonly countsAgainstIntensity: boolean
  constructor(
    message = "boom",
    options: { readonly recovery?: Fault["recovery"]; readonly countsAgainstIntensity?: boolean } = {}
  ) {
    this.message = message
    this.recovery = options.recovery ?? "restart"
    this.countsAgainstIntensity = options.countsAgainstIntensity ?? true
  }
}

export const boom = new Boom()

/** Writes down what children do: `+a` began, `a!` ready, `-a` released what it held. */
export class Notebook {
  readonly lines: Array<string> = []
  readonly events: Array<SupervisionEvent> = []
  private readonly counts = new Map<string, number>()
  private readonly lives = new Map<string, Deferred.Deferred<void, Fault>>()

  readonly report = (event: SupervisionEvent): Effect.Effect<void> => Effect.sync(() => this.events.push(event))

  /** Takes the lines written since the last call. */
  take(): ReadonlyArray<string> {
    return this.lines.splice(0)
  }

  tags(): ReadonlyArray<string> {
    return this.events.map((event) => ("child" in event ? `${event._tag} ${event.child}` : event._tag))
  }

  /** Ends the present life of a child. */
  end(id: string, how: Effect.Effect<void, Fault> = Effect.fail(boom)): void {
    const life = this.lives.get(id)
    if (life === undefined) throw new Error(`${id} does not run`)
    Deferred.doneUnsafe(life, how)
  }

  isRunning(id: string): boolean {
    return this.lives.has(id)
  }

  /** A child that is ready at once and runs until `end`. `starting` and `ending` come before, with the life's number. */
  child(
    id: string,
    options: Omit<Child, "id" | "start"> & {
      readonly starting?: (life: number) => Effect.Effect<void, Fault, Scope.Scope>
      readonly releasing?: (life: number) => Effect.Effect<void>
    } = {}
  ): Child {
    const { releasing, starting, ...rest } = options
    return {
      id,
      ...rest,
      start: Effect.suspend(() => {
        const life = (this.counts.get(id) ?? 0) + 1
        this.counts.set(id, life)
        const done = Deferred.makeUnsafe<void, Fault>()
        this.lines.push(`+${id}`)
        return Effect.acquireRelease(
          Effect.sync(() => this.lives.set(id, done)),
          () =>
            Effect.andThen(
              releasing?.(life) ?? Effect.void,
              Effect.sync(() => {
                this.lines.push(`-${id}`)
                if (this.lives.get(id) === done) this.lives.delete(id)
              })
            )
        ).pipe(
          Effect.andThen(starting?.(life) ?? Effect.void),
          Effect.andThen(
            Effect.sync(() => {
              this.lines.push(`${id}!`)
              return Deferred.await(done)
            })
          )
        )
      })
    }
  }
}

export const spec = (children: ReadonlyArray<Child>, options: Partial<Supervisor.SupervisorSpec> = {}) => ({
  id: "node",
  strategy: "one_for_one" as const,
  maxRestarts: 3,
  within: "60 seconds" as const,
  ...options,
  children
})

/** A supervisor in a Scope of its own, so that a test can stop it. */
export const within = Effect.fnUntraced(function* (all: Supervisor.SupervisorSpec) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const supervisor = yield* Scope.provide(Supervisor.start(all), scope)
  return { supervisor, stop: Scope.close(scope, Exit.void) }
})
