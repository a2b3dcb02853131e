/**
 * The limits that a node knows, by account, and no more of them than MAX_ACCOUNTS: who may write to the fleet's states may
 * name as many accounts as it likes. Those that agents here use always have room. One that only other nodes have met gives way to
 * them, the one that ends first first, and is passed over where there is no room; it comes to be known when an agent here
 * uses its account.
 */

/** Accounts of which this node knows the limits; and those that it remembers to be used here. */
export const MAX_ACCOUNTS = 1_000

/** Until when an account has to wait, and why. */
export interface Limit {
  readonly account: string
  /** Milliseconds since the epoch. */
  readonly until: number
  readonly why: string
  /** The node that met it. */
  readonly node: string
}

export class AccountLimits {
  private readonly limits = new Map<string, Limit>()
  /** The latest last. */
  private readonly used = new Set<string>()

  /** An agent here uses it. */
  use(account: string): void {
    this.used.delete(account)
    this.used.add(account)
    if (this.used.size <= MAX_ACCOUNTS) return
    for (const longestAgo of this.used) return void this.used.delete(longestAgo)
  }

  get(account: string): Limit | undefined {
    return this.limits.get(account)
  }

  all(): ReadonlyArray<Limit> {
    return [...this.limits.values()]
  }

  /** Whether there is a place for one of this account. */
  hasRoom(account: string): boolean {
    return this.limits.has(account) || this.limits.size < MAX_ACCOUNTS || this.used.has(account)
  }

  /** False where there is no room for it. */
  set(limit: Limit): boolean {
    if (!this.hasRoom(limit.account)) return false
    this.limits.set(limit.account, limit)
    if (this.limits.size <= MAX_ACCOUNTS) return true
    const [first] = this.all()
      .filter(({ account }) => !this.used.has(account))
      .sort((one, other) => one.until - other.until)
    this.limits.delete((first ?? limit).account)
    return first !== undefined
  }

  delete(account: string): void {
    this.limits.delete(account)
  }
}
