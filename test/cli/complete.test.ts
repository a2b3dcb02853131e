import { assert, it } from "@effect/vitest"
import { Option } from "effect"
import { wanted } from "../../src/cli/complete.ts"

it("knows what the word at the cursor names", () => {
  for (const [line, kind] of [
    ["task |", "tasks"],
    ["task --json t|", "tasks"],
    ["task cancel |", "open"],
    ["task retry |", "ended"],
    ["task t |", undefined],
    ["stop |", "targets"],
    ["logs -f |", "targets"],
    ["logs --last 5 |", "targets"],
    ["logs --last |", undefined],
    ["explain |", "explained"],
    ["submit x --agent |", "agents"],
    ["submit x --agent a |", undefined],
    ["submit --task |", undefined],
    ["events --task |", "tasks"],
    ["submit x --after |", "tasks"],
    ["pause --data-dir d --no-json |", "targets"],
    ["pause --data-dir = d |", "targets"],
    ["|", undefined],
    ["ta|", undefined],
    ["task --|", undefined],
    ["constructor |", undefined]
  ] as const)
    assert.strictEqual(wanted(line.replace("|", "").split(" ")).kind, kind, line)
})

it("knows which node is meant", () => {
  assert.deepStrictEqual(wanted(["task", "--data-dir", "d", ""]).where.dataDir, Option.some("d"))
  assert.deepStrictEqual(wanted(["task", "--config=c=d.json", ""]).where.config, Option.some("c=d.json"))
})
