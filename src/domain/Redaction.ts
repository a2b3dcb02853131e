/**
 * What was given in confidence must not leave: the one place through which texts pass on their way into events, log lines,
 * log files, faults and what `run` prints. A program that fails may print anything, its environment included.
 *
 * Promises: every value that was learnt, as it is and in base64, URL-encoded and JSON-escaped form, and what looks like a
 * well-known kind of token, is replaced by MARK; the time is linear in the text. What is known is known to the whole
 * process: an error that ends it is printed where no config is at hand, and so nothing can be forgotten on the way.
 */
import { Redacted } from "effect"

/** Stands for what was hidden. */
export const MARK = "[secret]"
/** Shorter values are found in any text, and are no secrets. */
export const SHORTEST_SECRET = 8
/** Secrets that are remembered; of more, the ones learnt first are forgotten. */
export const MAX_SECRETS = 4096

const known = new Map<string, ReadonlyArray<string>>()
let literal: RegExp | undefined

/** Hides these from now on. Plain values are no secrets and are passed over. */
export const learn = (values: Iterable<unknown>): void => {
  for (const each of values) {
    if (!Redacted.isRedacted(each)) continue
    const value = String(Redacted.value(each))
    // A key of many lines may come back line by line.
    for (const secret of new Set([value, value.trim(), ...value.split(/\r?\n/)])) {
      if (secret.length < SHORTEST_SECRET || known.has(secret)) continue
      known.set(secret, formsOf(secret))
      literal = undefined
      const oldest = known.keys().next().value
      if (known.size > MAX_SECRETS && oldest !== undefined) known.delete(oldest)
    }
  }
}

const formsOf = (secret: string): ReadonlyArray<string> => {
  const url = encodeURIComponent(secret.toWellFormed())
  const forms = [
    secret,
    JSON.stringify(secret).slice(1, -1),
    url,
    url.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    url.replaceAll("%20", "+")
  ]
  return [...new Set([...forms, ...[0, 1, 2].flatMap((before) => base64(secret, before))])].filter(
    (form) => form.length >= SHORTEST_SECRET
  )
}

/** As it shows in base64 after so many other bytes, as a password does after its user: without the digits it shares with them. */
const base64 = (secret: string, before: number): ReadonlyArray<string> => {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)])
  const digits = bytes.toString("base64").replaceAll("=", "")
  const own = digits.slice(Math.ceil((before * 4) / 3), Math.floor((bytes.length * 4) / 3))
  return [own, own.replaceAll("+", "-").replaceAll("/", "_")]
}

/** What is a secret by its looks. None of them can match in more than one way, so that none looks back. */
const SHAPES = new RegExp(
  [
    String.raw`\bsk-(?:ant|proj|or|live|test)-[\w-]+`,
    String.raw`\bsk-[A-Za-z0-9]{20,}`,
    String.raw`\bgh[pousr]_\w{5,}`,
    String.raw`\bgithub_pat_\w{5,}`,
    String.raw`\bglpat-[\w-]{8,}`,
    String.raw`\bxox[abeprs]-[\w-]{8,}`,
    String.raw`\bnpm_[A-Za-z0-9]{20,}`,
    String.raw`\bA(?:KIA|SIA)[A-Z0-9]{16}\b`,
    String.raw`\bAIza[\w-]{30,}`,
    String.raw`\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?`,
    String.raw`\b[Bb](?:earer|EARER)\s+[\w.~+/=-]{16,}`,
    String.raw`\b[Bb]asic\s+[A-Za-z0-9+/]{16,}={0,2}`,
    String.raw`-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:(?!-----END)[\s\S]){0,65536}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?`
  ].join("|"),
  "g"
)

/** Nothing. */
const NEVER = /(?!)/g

const compile = (): RegExp => {
  // The longest first: one that begins like another is hidden whole.
  const forms = [...new Set([...known.values()].flat())].sort((a, b) => b.length - a.length)
  return forms.length === 0 ? NEVER : new RegExp(forms.map((form) => RegExp.escape(form)).join("|"), "g")
}

/** The text without what must not leave. What is known goes first: a shape might end in the middle of it. */
export const redact = (text: string): string => {
  if (text.length < SHORTEST_SECRET) return text
  literal ??= compile()
  return text.replace(literal, MARK).replace(SHAPES, MARK)
}

/** The same for every text within a value of plain data, under the names too; what stands under the keys of `but` stays. */
export const redactIn = <A>(value: A, but?: ReadonlySet<string>): A => deep(value, but) as A

const deep = (value: unknown, but: ReadonlySet<string> | undefined): unknown => {
  if (typeof value === "string") return redact(value)
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((each) => deep(each, but))
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const each = (value as Record<string, unknown>)[key]
    // Defined and not assigned: a key may be called __proto__.
    if (key === "__proto__") continue
    copy[redact(key)] = but?.has(key) ? each : deep(each, but)
  }
  return copy
}
