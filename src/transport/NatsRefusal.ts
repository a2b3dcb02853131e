/** Why a server does not let a node in, from what it says. Pure. */
import type { AuthenticationRefused } from "./TransportError.ts"

/** Of a server's words, or the client's code for them. */
export const refusal = (words: string): AuthenticationRefused["why"] | undefined => {
  const text = words.toLowerCase().replaceAll("_", " ")
  if (/authentication expired|account expired|jwt.*expired/.test(text)) return "expired"
  if (/revoked/.test(text)) return "revoked"
  if (/authentication timeout/.test(text)) return "timeout"
  return /authorization violation|bad authentication|bad creds|authentication error/.test(text)
    ? "violation"
    : undefined
}
