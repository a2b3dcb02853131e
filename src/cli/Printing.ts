/** What commands print: sentences and tables for people, a JSON value a line for programs. */
import { Effect } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { write } from "./Output.ts"
import { harmless, type Paint, paint } from "./Words.ts"

export const out = (text: string): Effect.Effect<void> => write(process.stdout, `${text}\n`)
export const err = (text: string): Effect.Effect<void> => write(process.stderr, `${text}\n`)

export const jsonLine = (value: unknown): Effect.Effect<void> => out(JSON.stringify(value))

/** Colours where the terminal has them and they are wanted. */
export const painter = Effect.map(TerminalCapabilities.TerminalCapabilities, ({ canColor }): Paint => paint(canColor))

/** A cell, and how it is coloured where it is. */
export type Cell = string | readonly [text: string, style: Parameters<Paint>[0]]

const textOf = (cell: Cell) => harmless(typeof cell === "string" ? cell : cell[0]).replaceAll(/[\n\t]+/g, " ")

/**
 * Columns under their titles, each as wide as its widest cell. The last one is cut at the edge of the terminal, and not
 * at all where there is none.
 */
export const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>, p: Paint): string => {
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => [...textOf(row[column] ?? "")].length))
  )
  const edge = process.stdout.isTTY ? (process.stdout.columns ?? 80) : Number.POSITIVE_INFINITY
  const line = (row: ReadonlyArray<Cell>, style?: Parameters<Paint>[0]) => {
    let left = edge
    return row
      .map((cell, column) => {
        const last = column === row.length - 1
        const width = widths[column] ?? 0
        const text = textOf(cell)
        const padded = last ? cut(text, Math.max(10, left)) : text + " ".repeat(width - [...text].length + 2)
        left -= width + 2
        const colour = style ?? (typeof cell === "string" ? undefined : cell[1])
        return colour === undefined ? padded : p(colour, padded)
      })
      .join("")
      .trimEnd()
  }
  return [line(titles, "dim"), ...rows.map((row) => line(row))].join("\n")
}

const cut = (text: string, width: number) => {
  const letters = [...text]
  return letters.length <= width ? text : `${letters.slice(0, width - 1).join("")}…`
}

/** How long something has lasted, in the largest unit that says enough. */
export const age = (millis: number): string => {
  const seconds = Math.max(0, Math.floor(millis / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}
