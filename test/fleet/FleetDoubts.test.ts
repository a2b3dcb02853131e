/** What is said of replicas that are allowed and hardly meant. */
import { assert, describe, it } from "@effect/vitest"
import { doubts } from "../../src/fleet/FleetDoubts.ts"

const servers = (count: number) => Array.from({ length: count }, (_, nth) => `nats://nats-${nth}.example.org:4222`)
const of = (replicas: number, count: number, kind: "nats" | "memory" = "nats") =>
  doubts({ kind, servers: servers(count) }, { replicas })

describe("replicas", () => {
  it("are doubted where fewer servers are named, or where one more is as good as none", () => {
    assert.match(of(3, 1).join(), /fleet\.replicas: 3 servers .* names 1: while it is down/)
    assert.match(of(3, 2).join(), /names 2: while these are down/)
    assert.match(of(2, 3).join(), /set it to 1 or 3/)
    assert.lengthOf(of(4, 1), 2)
  })

  it("are not where all is well, and where nothing is kept by servers", () => {
    for (const fine of [of(1, 1), of(1, 3), of(3, 3), of(5, 5), of(4, 0, "memory")]) assert.deepEqual(fine, [])
  })
})
