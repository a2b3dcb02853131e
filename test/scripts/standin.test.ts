/** The stand-in for the Messages API keeps its word; that the real CLI takes it for the API is shown in test/e2e. */
import { assert, describe, it } from "vitest"
import { scriptOf } from "../../scripts/standin/Script.ts"
import { type StandinOptions, startStandin } from "../../scripts/standin/Standin.ts"

const ask = async (url: string, body: unknown, headers: Record<string, string> = { "x-api-key": "k" }) => {
  const response = await fetch(`${url}/v1/messages?beta=true`, {
    method: "POST",
    headers,
    body: typeof body === "string" ? body : JSON.stringify(body)
  })
  return { status: response.status, text: await response.text() }
}
const user = (content: string) => ({ role: "user", content })
const assistant = (content: string) => ({ role: "assistant", content })
const scripted = (...steps: ReadonlyArray<unknown>) => user(`Please @fake${JSON.stringify(steps)} now`)

const withStandin = async (options: StandinOptions, use: (url: string) => Promise<void>) => {
  const standin = await startStandin(options)
  try {
    await use(standin.url)
  } finally {
    await standin.close()
  }
}

describe("the stand-in", () => {
  it("plays the next step of the last script, by the answers there are", () => {
    const messages = [
      scripted({ text: "one" }),
      assistant("one"),
      scripted({ text: "a" }, { text: "b" }),
      assistant("a")
    ]
    const { played, steps } = scriptOf(messages, [])
    assert.deepStrictEqual([played, steps.length], [1, 2])
    // What the CLI says in the model's place is not an answer.
    assert.strictEqual(scriptOf([...messages, assistant("API Error: 529"), user("go on")], []).played, 1)
  })

  it("answers with a stream, or with JSON where none is asked for", async () => {
    await withStandin({}, async (url) => {
      const streamed = await ask(url, { stream: true, messages: [scripted({ text: "hi" })] })
      assert.match(streamed.text, /event: message_start[\s\S]*"text":"hi"[\s\S]*event: message_stop/)
      const plain = await ask(url, { messages: [scripted({ tool: "Bash", input: { command: "ls" } })] })
      assert.deepInclude(JSON.parse(plain.text), { stop_reason: "tool_use" })
    })
  })

  it("fails as often as it is told, and then goes on", async () => {
    await withStandin({}, async (url) => {
      const body = { messages: [scripted({ status: 529, times: 2 }, { text: "fine" })] }
      const statuses = [await ask(url, body), await ask(url, body), await ask(url, body)].map(({ status }) => status)
      assert.deepStrictEqual(statuses, [529, 529, 200])
    })
  })

  it("follows rules for prompts without a script, and echoes the rest", async () => {
    await withStandin({ rules: [{ match: "weather", steps: [{ text: "sunny" }] }] }, async (url) => {
      assert.include((await ask(url, { messages: [user("How is the weather?")] })).text, "sunny")
      assert.include((await ask(url, { messages: [user("Who are you?")] })).text, "echo: Who are you?")
    })
  })

  it("refuses a wrong key, and keeps none", async () => {
    const standin = await startStandin({ requireKey: "right" })
    const { status } = await ask(standin.url, { messages: [user("x")] }, { "x-api-key": "wrong-secret" })
    assert.strictEqual(status, 401)
    assert.notInclude(JSON.stringify(standin.requests()), "wrong-secret")
    await standin.close()
  })

  it("answers nonsense with an error of the API, not with silence", async () => {
    await withStandin({}, async (url) => {
      for (const body of ["", "{", "null", '"text"', "[]", '{"messages":5}']) {
        assert.strictEqual((await ask(url, body)).status, 400, body)
      }
      assert.strictEqual((await fetch(`${url}/v1/nothing`)).status, 404)
    })
  })
})
