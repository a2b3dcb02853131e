/** The version of MisterSmith: package.json has it, everybody else reads it here. */
import metadata from "../../package.json" with { type: "json" }

export const VERSION: string = metadata.version
