/** Subjects are what ARCHITECTURE says, and nothing from outside can make one of them another. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import * as Subject from "../../src/message/Subject.ts"

const subjects = Result.getOrThrow(Subject.make())
const made = (result: Result.Result<string, unknown>) => Result.getOrThrow(result)

const oneToken = ["commands", "status", "inbox", "queue", "progress", "result", "heartbeat"] as const

describe("subjects", () => {
  it("are these", () => {
    assert.deepStrictEqual(
      [
        made(subjects.commands("reviewer-1")),
        made(subjects.status("reviewer-1")),
        made(subjects.inbox("reviewer-1")),
        made(subjects.queue("code")),
        made(subjects.progress("fix-1")),
        made(subjects.result("nightly@2030-01-31T03:00:00Z")),
        made(subjects.event("agent.state")),
        made(subjects.heartbeat("edge-1")),
        subjects.dead("expired")
      ],
      [
        "agents.reviewer-1.commands",
        "agents.reviewer-1.status",
        "agents.reviewer-1.inbox",
        "tasks.code.queue",
        "tasks.fix-1.progress",
        "tasks.nightly@2030-01-31T03:00:00Z.result",
        "events.agent.state",
        "nodes.edge-1.heartbeat",
        "dead.expired"
      ]
    )
  })

  it("all begin with the prefix, and are read with it only", () => {
    const team = Result.getOrThrow(Subject.make("acme.team-1"))
    assert.strictEqual(made(team.commands("a")), "acme.team-1.agents.a.commands")
    assert.strictEqual(team.dead("failed"), "acme.team-1.dead.failed")
    for (const pattern of Object.values(team.all)) assert.isTrue(pattern.startsWith("acme.team-1."), pattern)
    assert.deepStrictEqual(team.read("acme.team-1.agents.a.commands"), { kind: "commands", agent: "a" })
    assert.isUndefined(team.read("agents.a.commands"))
    assert.isUndefined(subjects.read("acme.team-1.agents.a.commands"))
  })

  it("refuse a prefix that is none, or is the server's", () => {
    for (const prefix of [
      "a..b",
      ".a",
      "a.",
      "a b",
      "a.*",
      ">",
      "$SYS",
      "$JS.API",
      "_INBOX.x",
      "a".repeat(300),
      "a.b.c.d.e.f.g.h.i"
    ])
      assert.isTrue(Result.isFailure(Subject.make(prefix)), prefix)
  })

  it("refuse a token that is more or less than one", () => {
    const wrong = [
      "",
      "a.b",
      "a b",
      "*",
      "a*",
      ">",
      "a>",
      "a\tb",
      "a\r\nPUB x 0",
      "a\0",
      "a\u200Bb",
      "a\u00A0b",
      "a\u0085",
      "\uD800",
      "x".repeat(201)
    ]
    for (const token of wrong)
      for (const kind of oneToken)
        assert.isTrue(Result.isFailure(subjects[kind](token)), `${kind} ${JSON.stringify(token)}`)
    for (const type of ["agent..state", ".", "agent.*", ">", "a b", ""])
      assert.isTrue(Result.isFailure(subjects.event(type)), type)
  })

  it("hold exactly the token that was put in, whatever it was", () => {
    const word = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.constantFrom("a.commands", "*", "a\nb", "ok", "a-1")
    )
    fc.assert(
      fc.property(fc.constantFrom(...oneToken), word, (kind, token) => {
        const result = subjects[kind](token)
        if (Result.isFailure(result)) {
          assert.isString(Subject.wrongToken(token))
          assert.strictEqual(result.failure._tag, "SubjectInvalid")
          return
        }
        assert.lengthOf(result.success.split("."), 3)
        const place = subjects.read(result.success)
        assert.isTrue(place !== undefined && place.kind === kind && Object.values(place).includes(token))
      })
    )
  })
})
