/**
 * Text that ends up as an argument, a path or a name: never empty, and without the NUL at which the system would cut it
 * off.
 */
import { Schema } from "effect"

export const Text = Schema.String.pipe(
  Schema.check(
    Schema.isNonEmpty({ message: "expected text that is not empty" }),
    Schema.makeFilter((text: string) => !text.includes("\0"), { message: "expected text without the character NUL" })
  )
)
