import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Tally } from "../../src/process/Tally.ts"

const OUTSIDE = 1

interface Simulated {
  readonly pid: number
  readonly startTime: string
  parent: number
  own: number
  inherited: number
}

/** Processes that burn, fork, wait and die as the kernel would have it, and the truth of what they burned. */
class Machine {
  readonly alive: Array<Simulated> = []
  burned = 0
  #started = 0

  constructor() {
    this.fork(OUTSIDE)
  }

  fork(parent: number) {
    // The number of one that has just died is used again at once.
    let pid = 100
    while (this.alive.some((each) => each.pid === pid)) pid++
    this.alive.push({ pid, startTime: String(this.#started++), parent, own: 0, inherited: 0 })
  }

  burn(process: Simulated, ticks: number) {
    process.own += ticks
    this.burned += ticks
  }

  /** The leader stays. Who has children when it dies leaves them to init. */
  die(process: Simulated, waited: boolean) {
    if (process === this.alive[0]) return
    for (const child of this.alive) if (child.parent === process.pid) child.parent = OUTSIDE
    this.alive.splice(this.alive.indexOf(process), 1)
    const parent = this.alive.find(({ pid }) => pid === process.parent)
    if (waited && parent !== undefined) parent.inherited += process.own + process.inherited
  }

  childrenOf({ pid }: Simulated): ReadonlyArray<Simulated> {
    return this.alive.filter(({ parent }) => parent === pid)
  }

  get living(): number {
    return this.alive.reduce((sum, { inherited, own }) => sum + own + inherited, 0)
  }
}

const measure = (tally: Tally, processes: ReadonlyArray<Simulated>): number => {
  tally.bury(new Map(processes.map((process) => [process.pid, { ...process }])))
  for (const process of processes) tally.read(process, process.own, process.inherited)
  return tally.settle()
}

const step = fc.tuple(fc.constantFrom("fork", "burn", "die", "vanish", "measure"), fc.nat(20), fc.nat(50))

const play = (
  steps: ReadonlyArray<readonly [string, number, number]>,
  check: (machine: Machine, total: number) => void
) => {
  const machine = new Machine()
  const tally = new Tally()
  let before = 0
  for (const [what, who, amount] of [...steps, ["measure", 0, 0] as const]) {
    const process = machine.alive[who % machine.alive.length] as Simulated
    if (what === "fork" && machine.alive.length < 10) machine.fork(process.pid)
    if (what === "burn") machine.burn(process, amount)
    if (what === "die") machine.die(process, true)
    if (what === "vanish") machine.die(process, false)
    if (what === "measure") {
      const total = measure(tally, machine.alive)
      assert.isAtLeast(total, before)
      check(machine, total)
      before = total
    }
  }
}

describe("Tally", () => {
  it("never falls, never counts twice, and never less than what the living have, whoever waits for whom", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) =>
        play(steps, (machine, total) => {
          assert.isAtLeast(total, machine.living)
          assert.isAtMost(total, machine.burned)
        })
      ),
      { numRuns: 1000 }
    )
  })

  it("is exact where every parent waits", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const machine = new Machine()
        const tally = new Tally()
        const end = (process: Simulated) => {
          for (const child of machine.childrenOf(process)) end(child)
          machine.die(process, true)
        }
        for (const [what, who, amount] of steps) {
          const process = machine.alive[who % machine.alive.length] as Simulated
          if (what === "fork" && machine.alive.length < 10) machine.fork(process.pid)
          if (what === "burn") machine.burn(process, amount)
          if (what === "die" && process !== machine.alive[0]) end(process)
          if (what === "measure") assert.strictEqual(measure(tally, machine.alive), machine.burned)
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("keeps what an orphan had used that nobody of the tree waited for", () => {
    const tally = new Tally()
    const leader = { pid: 10, startTime: "a", parent: OUTSIDE, own: 5, inherited: 0 }
    assert.strictEqual(measure(tally, [leader, { pid: 11, startTime: "b", parent: 10, own: 70, inherited: 7 }]), 82)
    for (let i = 0; i < 5; i++) assert.strictEqual(measure(tally, [leader]), 82)
    const stranger = { pid: 11, startTime: "c", parent: 10, own: 4, inherited: 0 }
    assert.strictEqual(measure(tally, [{ ...leader, own: 6 }, stranger]), 87)
    // Another orphan, whose number is given to the next process before anyone looks.
    assert.strictEqual(
      measure(tally, [
        { ...leader, own: 6 },
        { ...stranger, startTime: "d", own: 1 }
      ]),
      88
    )
  })

  it("gives what a dead parent had inherited to the grandparent once", () => {
    const tally = new Tally()
    const leader = { pid: 10, startTime: "a", parent: OUTSIDE, own: 0, inherited: 0 }
    const child = { pid: 11, startTime: "b", parent: 10, own: 20, inherited: 0 }
    const grandchild = { pid: 12, startTime: "c", parent: 11, own: 30, inherited: 0 }
    assert.strictEqual(measure(tally, [leader, child, grandchild]), 50)
    assert.strictEqual(measure(tally, [{ ...leader, inherited: 50 }]), 50)
  })

  it("follows an orphan to the subreaper that adopts it", () => {
    const tally = new Tally()
    const reaper = { pid: 10, startTime: "a", parent: OUTSIDE, own: 0, inherited: 0 }
    const middle = { pid: 11, startTime: "b", parent: 10, own: 0, inherited: 0 }
    const child = { pid: 12, startTime: "c", parent: 11, own: 20, inherited: 0 }
    assert.strictEqual(measure(tally, [reaper, middle, child]), 20)
    // Its parent lives, but it was the reaper that waited.
    assert.strictEqual(measure(tally, [{ ...reaper, inherited: 20 }, middle]), 20)
  })

  it("counts once a child that was reaped while the walk was under way", () => {
    const parent = { pid: 10, startTime: "a", parent: OUTSIDE, own: 0, inherited: 0 }
    const child = { pid: 11, startTime: "b", parent: 10, own: 50, inherited: 0 }
    // The parent was read, then it reaped the child, which the walk did not find any more.
    const late = new Tally()
    measure(late, [parent, child])
    assert.strictEqual(measure(late, [parent]), 50)
    assert.strictEqual(measure(late, [{ ...parent, inherited: 50 }]), 50)
    // The child was read, then it was reaped, then the parent was read.
    const early = new Tally()
    measure(early, [parent, child])
    measure(early, [{ ...parent, inherited: 50 }, child])
    measure(early, [{ ...parent, inherited: 50 }])
    assert.strictEqual(measure(early, [{ ...parent, own: 60, inherited: 50 }]), 110)
  })

  it("waits with the claim of a child until its parent has been read", () => {
    const tally = new Tally()
    const parent = { pid: 10, startTime: "a", parent: OUTSIDE }
    const child = { pid: 11, startTime: "b", parent: 10 }
    const tick = (processes: ReadonlyArray<typeof parent>, inherited?: number) => {
      tally.bury(new Map(processes.map((process) => [process.pid, process])))
      for (const process of processes) tally.know(process)
      if (processes.includes(child)) tally.read(child, 0, 40)
      if (inherited !== undefined) tally.read(parent, 0, inherited)
      return tally.settle()
    }
    assert.strictEqual(tick([parent, child]), 40)
    for (let i = 0; i < 5; i++) assert.strictEqual(tick([parent]), 40)
    assert.strictEqual(tick([parent], 41), 41)
  })
})
