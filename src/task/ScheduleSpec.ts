/** When a task is done again and again, as people write it: a cron expression, in a time zone. */
import { Cron, Result, Schema } from "effect"

/** Longer is no expression. */
const MAX_CRON = 200
const UTC = "UTC"

const parsed = (cron: string, timeZone: string) => Cron.parse(cron, timeZone)

type Written = string | { readonly cron: string; readonly timeZone?: string }

/** The first of its times after this one; none where there is none, as on the 30th of February. */
export const nextTime = (schedule: Written, after: number): number | undefined => {
  const [cron, zone = UTC] = typeof schedule === "string" ? [schedule] : [schedule.cron, schedule.timeZone]
  const expression = parsed(cron, zone)
  if (Result.isFailure(expression)) return undefined
  try {
    const at = Cron.next(expression.success, after).getTime()
    return Number.isNaN(at) ? undefined : at
  } catch {
    return undefined
  }
}

const Expression = Schema.String.pipe(
  Schema.check(
    Schema.isMaxLength(MAX_CRON, { message: `expected at most ${MAX_CRON} characters` }),
    Schema.makeFilter((cron: string) => cron.length > MAX_CRON || Result.isSuccess(parsed(cron, UTC)), {
      message: 'expected a cron expression: minute, hour, day, month and weekday, such as "0 3 * * *"'
    }),
    Schema.makeFilter(
      (cron: string) =>
        cron.length > MAX_CRON || Result.isFailure(parsed(cron, UTC)) || nextTime(cron, 0) !== undefined,
      { message: "expected a time that comes, and this never does" }
    )
  )
)

const TimeZone = Schema.String.pipe(
  Schema.check(
    Schema.makeFilter((zone: string) => Result.isSuccess(parsed("0 0 * * *", zone)), {
      message: 'expected a time zone such as "Europe/Berlin", "UTC" or "+02:00"'
    })
  )
)

export const ScheduleSpec = Schema.Union([
  Expression,
  Schema.Struct({
    cron: Expression.annotateKey({
      description: "Minute, hour, day, month and weekday; six fields begin with the second"
    }),
    timeZone: Schema.optionalKey(TimeZone).annotateKey({
      description: 'In which its times are meant, such as "Europe/Berlin". Default "UTC"'
    })
  })
])
export type ScheduleSpec = typeof ScheduleSpec.Type
