/**
 * Which lanes of the queue that gives out the tasks are asked, and for how many messages: no more than there are idle agents
 * for them, and than are known to be queued there; first those whose tasks' turn is first (Turn.ts), so that what is high goes
 * before what is low, but not for ever. The consumer of a lane is made when it is asked first.
 */
import type { NatsConnection } from "nats"
import * as Streams from "../state/JetStreamStreams.ts"
import { goesByQueue, occupy, type Slot } from "./Handing.ts"
import * as Stream from "./JetStreamDispatchStream.ts"
import { type Delivered, JetStreamPulls } from "./JetStreamPulls.ts"
import type { Depth } from "./MemoryStore.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { byTurn, type Turn } from "./Turn.ts"

/** Lanes that are remembered to have a consumer; of more, the oldest are looked at anew. */
const MAX_LANES = 1_000

export interface AskingOptions {
  readonly connection: NatsConnection
  readonly bucket: string
  readonly replicas: number
  readonly ackWait: number
  readonly take: (message: Delivered) => void
  readonly failed: (why: unknown) => void
  /** It may be worth asking again. */
  readonly again: () => void
}

/** What is to be had, and for whom. */
export interface Demand {
  /** Idle agents. */
  readonly slots: ReadonlyArray<Slot>
  /** The types of which this node could begin something. */
  readonly types: ReadonlySet<string>
  /** What it was handed for these agents, and has not tried. */
  readonly handed: ReadonlyArray<TaskSpec>
  readonly depths: Iterable<Depth>
}

/** A lane whose consumer is there, or being made. */
interface Known {
  readonly lane: Stream.Lane
  ready: boolean
  /** Made anew since it has answered last: somebody takes it away, or it cannot be reached. */
  again: boolean
}

export class JetStreamAsking {
  private readonly options: AskingOptions
  private readonly pulls: JetStreamPulls
  /** By durable. */
  private readonly lanes = new Map<string, Known>()

  constructor(options: AskingOptions) {
    this.options = options
    const { again, bucket, connection, failed, take } = options
    this.pulls = new JetStreamPulls({
      connection,
      stream: Stream.nameOfStream(bucket),
      laneOf: (subject) => {
        const said = Stream.read(subject)
        return said === undefined ? undefined : Stream.durableOf(said.lane)
      },
      take: (message, durable) => {
        const known = durable === undefined ? undefined : this.lanes.get(durable)
        if (known !== undefined) known.again = false
        take(message)
      },
      over: (durable, gone) => {
        const known = this.lanes.get(durable)
        if (gone && known?.ready) {
          // It goes when nobody has asked it for long.
          if (known.again) failed(new Error(`there is no consumer ${durable}`))
          known.again = true
          this.make(durable, known)
        } else again()
      }
    })
  }

  stop(): void {
    this.pulls.stop()
  }

  ask({ depths, handed, slots, types }: Demand): void {
    const free = [...slots]
    /** Not to be asked for once more, by durable. */
    const asked = new Map<string, number>()
    const count = (durable: string, type: string) => {
      asked.set(durable, (asked.get(durable) ?? 0) + 1)
      occupy(free, type)
    }
    for (const { lane, messages } of this.pulls.open())
      for (let each = 0; each < messages; each++) count(lane, this.lanes.get(lane)?.lane.type ?? "")
    for (const spec of handed) count(Stream.durableOf(Stream.laneOf(spec)), spec.type)
    if (free.length === 0) return
    const messages = new Map<string, { readonly lane: Stream.Lane; count: number }>()
    for (const { durable, lane } of firstOf(depths, types, slots.length)) {
      const already = asked.get(durable) ?? 0
      if (already > 0) asked.set(durable, already - 1)
      else if (occupy(free, lane.type)) {
        const more = messages.get(durable) ?? { lane, count: 0 }
        more.count++
        messages.set(durable, more)
      }
      if (free.length === 0) break
    }
    for (const [durable, { count, lane }] of messages) if (this.isReady(durable, lane)) this.pulls.ask(durable, count)
  }

  private isReady(durable: string, lane: Stream.Lane): boolean {
    const known = this.lanes.get(durable)
    if (known !== undefined) return known.ready
    const made: Known = { lane, ready: false, again: false }
    const [oldest] = this.lanes.keys()
    if (this.lanes.size >= MAX_LANES && oldest !== undefined) this.lanes.delete(oldest)
    this.lanes.set(durable, made)
    this.make(durable, made)
    return false
  }

  private make(durable: string, known: Known): void {
    known.ready = false
    void this.ensure(known.lane).then(
      () => {
        known.ready = true
        this.options.again()
      },
      (error: unknown) => {
        this.lanes.delete(durable)
        this.options.failed(error)
      }
    )
  }

  private async ensure(lane: Stream.Lane): Promise<void> {
    const { ackWait, bucket, connection, replicas } = this.options
    const jsm = await connection.jetstreamManager({ checkAPI: false })
    const where = `of the fleet ${bucket}`
    const stream = Stream.stream(bucket, replicas)
    // Somebody may have taken it away: nothing is lost with it.
    await Streams.ensure(jsm, where, stream)
    await Streams.ensureConsumer(jsm, where, stream.name, Stream.consumer(bucket, lane, ackWait))
  }
}

/** What is queued and was never begun, whose turn is first first; of each lane and priority no more than there are agents. */
const firstOf = (depths: Demand["depths"], types: ReadonlySet<string>, agents: number) => {
  const queued: Array<{ readonly lane: Stream.Lane; readonly durable: string; readonly turn: Turn }> = []
  for (const { one, priority, turns } of depths) {
    const { spec } = one
    if (!types.has(spec.type) || !goesByQueue(spec)) continue
    const lane = { type: spec.type, band: Stream.bandOfPriority(priority) }
    const durable = Stream.durableOf(lane)
    let left = agents
    for (const turn of turns) {
      if (left-- === 0) break
      queued.push({ lane, durable, turn })
    }
  }
  return queued.sort((one, other) => byTurn(one.turn, other.turn))
}
