/** The version of MisterSmith: package.json has it, everybody else reads it here. */
import { version } from "../../package.json" with { type: "json" }

export const VERSION: string = version
