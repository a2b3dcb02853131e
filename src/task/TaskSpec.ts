export interface TaskSpec {
  readonly id?: string
  readonly type: string
  readonly prompt: string
  readonly agent?: string
  readonly schema?: Readonly<Record<string, unknown>>
}
