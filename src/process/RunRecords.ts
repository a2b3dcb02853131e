/**
 * Which trees are alive, on disk: a small file for each, written before anyone waits for its process and removed when it
 * is proven gone. What is left over when a runtime starts is for Sweep.ts. A record holds the boot it was made in, because
 * pids and start times begin anew with each.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Option, Schema } from "effect"
import type { ProcessIdentity } from "./ProcessTable.ts"

const Record = Schema.fromJsonString(
  Schema.Struct({ boot: Schema.String, pid: Schema.Int, startTime: Schema.String, marker: Schema.String })
)
const decode = Schema.decodeUnknownOption(Record)

/** More than so many are not an earlier life's. */
const MAX_RECORDS = 20_000

export interface RunRecord extends ProcessIdentity {
  readonly marker: string
}

export interface RunRecords {
  add(record: RunRecord): void
  remove(record: RunRecord): void
  /** Of this boot of the machine. */
  list(): ReadonlyArray<RunRecord>
  /** Forgets all of them. */
  clear(): void
}

const bootId = (): string => {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
  } catch {
    return "unknown"
  }
}

/** Every operation that the disk refuses is passed over: a record is one of several ways to find what is left. */
const orElse = <A>(otherwise: A, act: () => A): A => {
  try {
    return act()
  } catch {
    return otherwise
  }
}

export const make = (dataDir: string): RunRecords => {
  const directory = join(dataDir, "runs")
  const boot = bootId()
  orElse(undefined, () => mkdirSync(directory, { recursive: true, mode: 0o700 }))
  const fileOf = ({ marker }: RunRecord) => join(directory, `${marker}.json`)
  const names = () =>
    orElse<ReadonlyArray<string>>([], () => readdirSync(directory).filter((name) => name.endsWith(".json"))).slice(
      0,
      MAX_RECORDS
    )
  return {
    add: (record) =>
      orElse(undefined, () =>
        writeFileSync(
          fileOf(record),
          JSON.stringify({ boot, pid: record.pid, startTime: record.startTime, marker: record.marker }),
          { mode: 0o600 }
        )
      ),
    remove: (record) => orElse(undefined, () => rmSync(fileOf(record), { force: true })),
    list: () =>
      names().flatMap((name) => {
        const text = orElse(undefined, () => readFileSync(join(directory, name), "utf8"))
        const record = Option.getOrUndefined(decode(text))
        return record?.boot === boot ? [record] : []
      }),
    clear: () => {
      for (const name of names()) orElse(undefined, () => rmSync(join(directory, name), { force: true }))
    }
  }
}
