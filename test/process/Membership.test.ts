import { assert, describe, it } from "@effect/vitest"
import { Membership } from "../../src/process/Membership.ts"
import type { ProcEntry } from "../../src/process/ProcFs.ts"

/** No machine gives out such a number. */
const PID = 2 ** 30

const leader = (state: string, threads: number): ProcEntry => ({
  pid: PID,
  startTime: "1",
  parent: 1,
  group: PID,
  session: PID,
  state,
  name: "leader",
  cpuTicks: 0,
  reapedTicks: 0,
  threads,
  rssPages: 0
})

const membersWhere = (entry: ProcEntry) =>
  new Membership()
    .of([{ marker: "run", leader: { pid: PID, startTime: "1" }, cgroup: undefined }], new Map([[PID, entry]]))
    .get("run")

describe("Membership", () => {
  it("does not count a zombie", () => assert.deepStrictEqual(membersWhere(leader("Z", 1)), []))

  it("counts a process whose first thread has ended while its others run", () =>
    assert.deepStrictEqual(membersWhere(leader("Z", 2)), [leader("Z", 2)]))
})
