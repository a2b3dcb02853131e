/** What a person may set about how nodes reach each other, and what it is if they do not. Also what speaks against it. */
import { Effect, Schema } from "effect"
import { byteSizeBetween } from "../domain/Quantity.ts"
import { HiddenSecret as Secret } from "../domain/Secret.ts"
import { duration } from "../domain/Setting.ts"

export const MAX_SERVERS = 32
const ADDRESS =
  /^(?:(?:nats|tls):\/\/)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::\d{1,5})?\/?$/
const WORDS = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/

const Server = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(ADDRESS, { message: 'expected an address such as "nats://host:4222", without user and password' })
  )
)
const Words = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(WORDS, { message: 'expected words such as "team-a" or "plant.north"' }),
    Schema.isMaxLength(128, { message: "expected at most 128 characters" })
  )
)

export const TransportSettings = Schema.Struct({
  kind: Schema.Literals(["memory", "nats"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("memory" as const)))
    .annotateKey({ description: "memory: this node alone; nats: a fleet over NATS servers. Default memory" }),
  servers: Schema.Array(Server)
    .pipe(
      Schema.check(Schema.isMaxLength(MAX_SERVERS, { message: `expected at most ${MAX_SERVERS} entries` })),
      Schema.withDecodingDefaultKey(Effect.succeed([]))
    )
    .annotateKey({
      description:
        'The NATS servers, such as "nats://host:4222"; "tls://" insists on TLS for all of them. Others of their cluster are found by themselves'
    }),
  prefix: Schema.optionalKey(Words).annotateKey({
    description: "Stands before every subject, so that several fleets can share an account. Default none"
  }),
  inboxPrefix: Words.pipe(Schema.withDecodingDefaultKey(Effect.succeed("_INBOX"))).annotateKey({
    description: 'Where answers to requests arrive: the user must be allowed to subscribe below it. Default "_INBOX"'
  }),
  order: Schema.Literals(["random", "listed"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("random" as const)))
    .annotateKey({
      description:
        "In which order servers are tried. listed: as they stand, and an earlier one is returned to when it is back, such as the leaf node of a site; random: all are equal. Default random"
    }),
  returnAfter: duration(
    "30 seconds",
    "Where the order is listed: for about how long an earlier server must be back before it is returned to."
  ),
  reconnect: Schema.Struct({
    first: duration("50 millis", "About how long before the first try; each next one waits longer, by chance."),
    longest: duration("2 seconds", "The longest such wait. It is tried for ever.")
  })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
    .annotateKey({ description: "How a lost server is tried again" }),
  connectTimeout: duration("5 seconds", "How long a server may take to accept a connection."),
  pingInterval: duration(
    "5 seconds",
    "How often a server is asked whether it is there; one that has left two such questions open at the next is given up."
  ),
  maxPending: byteSizeBetween("64 KiB", "1 GiB")
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("8 MiB" as const)))
    .annotateKey({
      description:
        'Messages that may wait for each link: while it is down, what is more is refused; while it is up, whoever publishes waits. Default "8 MiB"'
    }),
  tls: Schema.optionalKey(
    Schema.Struct({
      ca: Schema.optionalKey(Secret).annotateKey({
        description: "The certificates that sign the servers', as PEM. Default: those of the system"
      }),
      cert: Schema.optionalKey(Secret).annotateKey({ description: "This node's own certificate, as PEM" }),
      key: Schema.optionalKey(Secret).annotateKey({ description: "Its key, as PEM" })
    })
  ).annotateKey({ description: "Insists on TLS; {} for the system's certificates. Default: only for tls:// servers" }),
  user: Schema.optionalKey(Schema.NonEmptyString).annotateKey({ description: "With password" }),
  password: Schema.optionalKey(Secret).annotateKey({ description: "With user" }),
  token: Schema.optionalKey(Secret).annotateKey({ description: "A token, as the only thing that the server asks for" }),
  nkey: Schema.optionalKey(Secret).annotateKey({ description: "The seed of an NKey (SU...)" }),
  credentials: Schema.optionalKey(Secret).annotateKey({
    description: "The content of a credentials file (.creds) with a user's JWT and seed"
  })
})
export type TransportSettings = typeof TransportSettings.Type

/** The settings that hold secrets, or refer to them. */
export const SECRETS = [
  ["password"],
  ["token"],
  ["nkey"],
  ["credentials"],
  ["tls", "ca"],
  ["tls", "cert"],
  ["tls", "key"]
] as const

/** TLS, or nothing. */
export const insistsOnTls = ({ servers, tls }: Pick<TransportSettings, "servers" | "tls">): boolean =>
  tls !== undefined || servers.some((server) => server.startsWith("tls://"))

const placeOf = (server: string): string => server.replace(/^\w+:\/\//, "").replace(/\/$/, "")

/** Without brackets. */
export const hostOf = (server: string): string => {
  const place = placeOf(server)
  return place.startsWith("[") ? place.slice(1, place.indexOf("]")) : place.replace(/:\d+$/, "")
}

export const portOf = (server: string): number => Number(/:(\d+)$/.exec(placeOf(server))?.[1] ?? DEFAULT_PORT)
const DEFAULT_PORT = 4222

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)

/** What is allowed, but hardly meant: said by `check` and at the start. */
export const warnings = (settings: Pick<TransportSettings, "kind" | "servers" | "tls">): ReadonlyArray<string> => {
  if (settings.kind !== "nats" || insistsOnTls(settings)) return []
  const open = settings.servers.filter((server) => !isLoopback(hostOf(server)))
  return open.length === 0
    ? []
    : [
        `transport.servers: ${open.slice(0, NAMED).join(", ")} without TLS: everyone on the way can read and change what nodes tell each other; set transport.tls, or write tls://`
      ]
}

/** Servers that a warning names. */
const NAMED = 5
