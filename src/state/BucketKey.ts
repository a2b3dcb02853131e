/** A key of a bucket holds only some letters; a name may hold any. */
export const wordOf = (name: string): string =>
  name.replace(/[^A-Za-z0-9_-]/g, (letter) => `=${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** The name that a word stands for. */
export const nameOf = (word: string): string =>
  word.replace(/=([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
