/** The config that is meant where none is named: in the directory where the command is given. */
export const USUAL_CONFIG = "mister-smith.json"
