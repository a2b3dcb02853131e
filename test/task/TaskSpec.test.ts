import { assert, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { TaskSpec } from "../../src/task/TaskSpec.ts"

const read = (more: object) => Result.isSuccess(Schema.decodeUnknownResult(TaskSpec)({ prompt: "p", ...more }))

it("takes whole priorities from -10 to 10", () => {
  for (const priority of [-10, 0, 10]) assert.isTrue(read({ priority }), String(priority))
  for (const priority of [-11, 11, 0.5, "1", Number.NaN]) assert.isFalse(read({ priority }), String(priority))
})

it("takes a time with its zone or a duration, and nothing that would have to be guessed", () => {
  for (const notBefore of [
    "2030-01-31T08:00:00Z",
    "2030-01-31T08:00+02:00",
    "2 hours",
    "30 s",
    "2030-01-31T08:00:00.5Z"
  ])
    assert.isTrue(read({ notBefore }), notBefore)
  for (const notBefore of ["2030-01-31T08:00:00", "2030-01-31", "2030-13-31T08:00:00Z", "tomorrow", "5", "-1 hour", ""])
    assert.isFalse(read({ notBefore }), notBefore)
})

it("takes labels that are few and short, and a traceparent as the W3C has it", () => {
  const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, index) => [`k${index}`, "v"]))
  for (const labels of [{}, { team: "web", "app.io/part-of_x": "" }, many(32), { k: "v".repeat(200) }])
    assert.isTrue(read({ labels }), JSON.stringify(labels).slice(0, 80))
  for (const labels of [{ "": "v" }, { "a b": "v" }, { k: 1 }, { k: "a\nb" }, many(33), { k: "v".repeat(201) }, []])
    assert.isFalse(read({ labels }), JSON.stringify(labels).slice(0, 80))
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  const parent = "00f067aa0ba902b7"
  assert.isTrue(read({ traceparent: `00-${trace}-${parent}-01` }))
  for (const traceparent of [
    `ff-${trace}-${parent}-01`,
    `00-${"0".repeat(32)}-${parent}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${parent}-01`,
    `00-${trace}-${parent}`,
    `00-${trace}-${parent}-01-more`
  ])
    assert.isFalse(read({ traceparent }), traceparent)
})

it("takes cron expressions whose time comes, in a zone that is known", () => {
  for (const schedule of [
    "0 3 * * *",
    "*/10 * * * * *",
    "0 0 29 2 *",
    { cron: "0 9 * * 1-5", timeZone: "Europe/Berlin" },
    { cron: "0 9 * * *" }
  ])
    assert.isTrue(read({ schedule }), JSON.stringify(schedule))
  for (const schedule of [
    "",
    "3",
    "60 * * * *",
    "0 0 30 2 *",
    { cron: "0 9 * * *", timeZone: "Mars" },
    {},
    5,
    "* ".repeat(200)
  ])
    assert.isFalse(read({ schedule }), JSON.stringify(schedule))
})

it("takes an id with the time of an occurrence, and none like it", () => {
  assert.isTrue(read({ id: "nightly@20300131T030000Z" }))
  for (const id of ["nightly@", "nightly@noon", "@20300131T030000Z", "a@2030-01-31T03:00:00Z", "a@b@20300131T030000Z"])
    assert.isFalse(read({ id }), id)
})
