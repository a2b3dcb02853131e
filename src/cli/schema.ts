/** `schema`: the JSON Schema of the config, which editors use through `$schema`; `schema messages`: that of all messages. */
import { Console, Effect } from "effect"

const load = {
  config: () => import("../config/JsonSchema.ts"),
  messages: () => import("../message/JsonSchema.ts")
}

export const schema = ({ of }: { readonly of: keyof typeof load }) =>
  Effect.flatMap(
    Effect.promise(() => load[of]()),
    ({ jsonSchema }) => Console.log(JSON.stringify(jsonSchema(), undefined, 2))
  )
