/** What a fault of the bucket means for the ledger. */
import { explain as explainBucket } from "../state/JetStreamMeaning.ts"
import { LedgerUnusable } from "./TaskError.ts"

export const explain = (where: string, error: unknown): LedgerUnusable => {
  if (error instanceof LedgerUnusable) return error
  const { detail, problem, where: there } = explainBucket(where, error)
  return new LedgerUnusable({ where: there, problem, detail })
}
