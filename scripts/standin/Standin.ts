/**
 * An offline stand-in for Anthropic's Messages API, so that the real Claude CLI runs end to end with no credentials. It
 * listens on loopback only, and plays what a script says (Script.ts); without a script it echoes. It knows of the API
 * what the CLI uses: messages, streamed and not, token counts, errors in the API's shape.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { type Rule, type Step, scriptOf } from "./Script.ts"

export interface StandinOptions {
  readonly port?: number
  readonly rules?: ReadonlyArray<Rule>
  /** Any other key is refused with 401. */
  readonly requireKey?: string
  /** Told of each call of the model, which is not answered before this has. Its answer takes the place of `{call}` in what a script says. */
  readonly called?: (request: RecordedRequest) => string | Promise<string>
}

/** What was asked, without the key. */
export interface RecordedRequest {
  readonly path: string
  readonly credential: "api-key" | "bearer" | "none"
  readonly stream: boolean
  readonly model: string
  readonly system: string
  readonly messages: number
  readonly bytes: number
  /** All that the messages say, as JSON; of what is longer, the end. */
  readonly said: string
}

export interface Standin {
  readonly url: string
  readonly port: number
  /** The last 1,000. */
  requests(): ReadonlyArray<RecordedRequest>
  close(): Promise<void>
}

const MAX_BODY = 32 * 1024 * 1024
const MAX_RECORDED = 1000
/** Characters. */
const MAX_SAID = 20_000

const errorTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error"
}

let counter = 0
const id = (prefix: string) => `${prefix}_standin${(++counter).toString().padStart(8, "0")}`
const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const json = (res: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) => {
  res.writeHead(status, { "content-type": "application/json", "request-id": id("req"), ...headers })
  res.end(JSON.stringify(body))
}
const refuse = (res: ServerResponse, status: number, message: string, headers?: Readonly<Record<string, string>>) =>
  json(res, status, { type: "error", error: { type: errorTypes[status] ?? "api_error", message } }, headers)

const read = async (req: IncomingMessage): Promise<string | undefined> => {
  const chunks: Array<Buffer> = []
  let size = 0
  for await (const chunk of req) {
    size += (chunk as Buffer).length
    if (size <= MAX_BODY) chunks.push(chunk as Buffer)
  }
  return size > MAX_BODY ? undefined : Buffer.concat(chunks).toString("utf8")
}

export const startStandin = async (options: StandinOptions = {}): Promise<Standin> => {
  const recorded: Array<RecordedRequest> = []
  /** How often a failing step was played, by the script (prompts are merged when an answer failed) and the step's place. */
  const failures = new Map<string, number>()

  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    const path = (req.url ?? "/").split("?")[0] ?? "/"
    if (req.method === "HEAD") return void res.writeHead(200).end()
    const text = await read(req)
    if (text === undefined) return refuse(res, 413, "the request is too large")
    if (req.method !== "POST" || !path.startsWith("/v1/messages")) return refuse(res, 404, "not found")
    const body = parse(text)
    if (body === undefined) return refuse(res, 400, "the body is not JSON with messages")
    const key = req.headers["x-api-key"] ?? req.headers["authorization"]?.replace(/^Bearer /, "")
    const request: RecordedRequest = {
      path,
      credential: req.headers["x-api-key"] ? "api-key" : req.headers["authorization"] ? "bearer" : "none",
      stream: body.stream === true,
      model: String(body.model),
      system: JSON.stringify(body.system ?? "").slice(0, 20_000),
      messages: body.messages.length,
      bytes: text.length,
      said: JSON.stringify(body.messages).slice(-MAX_SAID)
    }
    recorded.push(request)
    if (recorded.length > MAX_RECORDED) recorded.shift()
    if (options.requireKey !== undefined && key !== options.requireKey) return refuse(res, 401, "invalid x-api-key")
    if (path.endsWith("/count_tokens")) return json(res, 200, { input_tokens: Math.ceil(text.length / 4) })
    const script = scriptOf(body.messages, options.rules ?? [])
    const called = await options.called?.(request)
    const scripted = next(script)
    const step =
      called === undefined || scripted.text === undefined
        ? scripted
        : { ...scripted, text: scripted.text.replaceAll("{call}", called) }
    if (step.delay !== undefined) await wait(step.delay)
    if (step.status !== undefined)
      return refuse(res, step.status, step.message ?? `scripted ${step.status}`, step.headers)
    const message = messageOf(step, String(body.model), Math.ceil(text.length / 4))
    if (step.break === true && (body.stream === true || step.fallback !== "ok")) {
      if (body.stream === true) await stream(res, message, step, true)
      return void res.destroy()
    }
    return body.stream === true ? stream(res, message, step, false) : json(res, 200, message)
  }

  /** The step to play. A failing one is played as often as it says, and then makes way for the one after it. */
  const next = ({ key, played, said, steps }: ReturnType<typeof scriptOf>): Step => {
    let at = 0
    for (const [index, step] of steps.entries()) {
      if (step.status === undefined && step.break !== true) {
        if (at === played) return step
        at++
      } else if (at === played) {
        const name = `${index} ${key}`
        const count = failures.get(name) ?? 0
        if (count < (step.times ?? Number.POSITIVE_INFINITY)) {
          failures.set(name, count + 1)
          return step
        }
      }
    }
    return { text: steps.length > 0 ? "done" : `echo: ${said.slice(0, 200)}` }
  }

  const server = createServer((req, res) => {
    answer(req, res).catch(() => res.destroy())
  })
  server.on("clientError", (_, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) =>
    server.once("error", reject).listen(options.port ?? 0, "127.0.0.1", resolve)
  )
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests: () => recorded,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

interface Body {
  readonly messages: Parameters<typeof scriptOf>[0]
  readonly stream?: unknown
  readonly model?: unknown
  readonly system?: unknown
}

const parse = (text: string): Body | undefined => {
  try {
    const body = JSON.parse(text) as Body | null
    return body !== null && Array.isArray(body.messages) ? body : undefined
  } catch {
    return undefined
  }
}

const PIECE = "All work and no play makes the stand-in a dull model. "

const messageOf = (step: Step, model: string, inputTokens: number) => {
  const text =
    step.text ??
    (step.text_size === undefined
      ? PIECE.repeat(step.deltas ?? 1)
      : PIECE.repeat(Math.ceil(step.text_size / PIECE.length)).slice(0, step.text_size))
  const call = step.tool ?? (step.structured === undefined ? undefined : "StructuredOutput")
  const block =
    call === undefined
      ? ({ type: "text", text } as const)
      : ({ type: "tool_use", id: id("toolu"), name: call, input: step.input ?? step.structured ?? {} } as const)
  return {
    id: id("msg"),
    type: "message",
    role: "assistant",
    model,
    content: [block],
    stop_reason: call === undefined ? "end_turn" : "tool_use",
    stop_sequence: null,
    usage: {
      input_tokens: inputTokens,
      output_tokens: Math.ceil(JSON.stringify(block).length / 4),
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0
    }
  } as const
}

const CHUNK = 16 * 1024

const stream = async (res: ServerResponse, message: ReturnType<typeof messageOf>, step: Step, breaks: boolean) => {
  const send = async (event: { readonly type: string } & Record<string, unknown>) => {
    if (res.destroyed) return
    if (!res.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)) {
      await new Promise<void>((resolve) => {
        const go = () => {
          res.off("drain", go).off("close", go)
          resolve()
        }
        res.once("drain", go).once("close", go)
      })
    }
  }
  const { content, stop_reason, usage } = message
  const block = content[0]
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache", "request-id": id("req") })
  await send({
    type: "message_start",
    message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } }
  })
  await send({
    type: "content_block_start",
    index: 0,
    content_block: block.type === "text" ? { type: "text", text: "" } : { ...block, input: {} }
  })
  const whole = block.type === "text" ? block.text : JSON.stringify(block.input)
  const size = step.deltas === undefined ? CHUNK : Math.max(1, Math.ceil(whole.length / step.deltas))
  for (let at = 0; at < whole.length; at += size) {
    const part = whole.slice(at, at + size)
    const delta =
      block.type === "text" ? { type: "text_delta", text: part } : { type: "input_json_delta", partial_json: part }
    await send({ type: "content_block_delta", index: 0, delta })
    if (breaks) return
    if (step.stall !== undefined && at === 0) await wait(step.stall)
    if (step.every !== undefined) await wait(step.every)
  }
  await send({ type: "content_block_stop", index: 0 })
  await send({
    type: "message_delta",
    delta: { stop_reason, stop_sequence: null },
    usage: { output_tokens: usage.output_tokens }
  })
  await send({ type: "message_stop" })
  res.end()
}
