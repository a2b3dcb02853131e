/** What can go wrong with a task's workspace. Wrong configuration ends the task at once; what may pass is tried again. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

export type WorkspaceError =
  | GitMissing
  | RepositoryUnusable
  | BaseUnknown
  | BranchTaken
  | RepositoryLocked
  | NoRoom
  | WorkspaceBlocked
  | WorkspacesFull
  | GitFailed

/** A worktree needs git. */
export class GitMissing extends Schema.TaggedError<GitMissing, Fault>("mister-smith/GitMissing")("GitMissing", {
  reason: Schema.String
}) {
  static {
    follow(this, { severity: "high", recovery: "reload", hint: "install git, or give the agent another workspace" })
  }
  override get message() {
    return `there is no git to make a worktree with: ${this.reason}`
  }
}

/** What the config names is no repository that can be worked with. */
export class RepositoryUnusable extends Schema.TaggedError<RepositoryUnusable, Fault>(
  "mister-smith/RepositoryUnusable"
)("RepositoryUnusable", {
  repository: Schema.String,
  problem: Schema.Literals(["missing", "not_git", "untrusted", "empty"]),
  reason: Schema.String
}) {
  static {
    follow(this, { severity: "high", recovery: "reload" })
  }
  override get hint(): string {
    if (this.problem === "untrusted") {
      return `it belongs to another user: git config --global --add safe.directory ${this.repository}`
    }
    return this.problem === "empty"
      ? "make a first commit in it"
      : "set workspace.repository to a git repository (git clone, git init)"
  }
  override get message() {
    return `the repository ${this.repository} cannot be used: ${this.reason}`
  }
}

/** What a task is to begin from is not there. */
export class BaseUnknown extends Schema.TaggedError<BaseUnknown, Fault>("mister-smith/BaseUnknown")("BaseUnknown", {
  repository: Schema.String,
  base: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "reload",
      hint: "set workspace.base to a branch, a tag or a commit of the repository (git branch --all)"
    })
  }
  override get message() {
    return `the repository ${this.repository} has no commit "${this.base}"`
  }
}

/** The branch that the task would get is there and is not this workspace's. It is left as it is. */
export class BranchTaken extends Schema.TaggedError<BranchTaken, Fault>("mister-smith/BranchTaken")("BranchTaken", {
  repository: Schema.String,
  branch: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get hint() {
    return `see what is on it (git log ${this.branch}), then rename or delete it, or give the task another id`
  }
  override get message() {
    return `the branch ${this.branch} of ${this.repository} is taken: ${this.reason}`
  }
}

/** Another git works on the repository, or one that was killed has left its lock. */
export class RepositoryLocked extends Schema.TaggedError<RepositoryLocked, Fault>("mister-smith/RepositoryLocked")(
  "RepositoryLocked",
  { repository: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      retriesTask: true,
      hint: "where no other git runs on it, one that was killed has left the lock file that is named: remove that file"
    })
  }
  override get message() {
    return `the repository ${this.repository} is locked: ${this.reason}`
  }
}

/** The disk is full. */
export class NoRoom extends Schema.TaggedError<NoRoom, Fault>("mister-smith/NoRoom")("NoRoom", {
  path: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "retry",
      retriesTask: true,
      hint: "make room; `mister-smith doctor` lists the workspaces that are kept"
    })
  }
  override get message() {
    return `there is no room for a workspace at ${this.path}: ${this.reason}`
  }
}

/** What is in the way is not ours to touch. */
export class WorkspaceBlocked extends Schema.TaggedError<WorkspaceBlocked, Fault>("mister-smith/WorkspaceBlocked")(
  "WorkspaceBlocked",
  { path: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "ignore",
      hint: "see what it is, and move it away; `mister-smith doctor` lists what is stray"
    })
  }
  override get message() {
    return `the workspace ${this.path} cannot be used: ${this.reason}`
  }
}

/** So many workspaces are kept that no other is begun. Nothing is deleted to make room. */
export class WorkspacesFull extends Schema.TaggedError<WorkspacesFull, Fault>("mister-smith/WorkspacesFull")(
  "WorkspacesFull",
  { kept: Schema.Int, bytes: Schema.Finite, limit: Schema.String }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "retry",
      retriesTask: true,
      hint: "take what you need from the workspaces under dataDir and remove those you are done with, or raise workspaces.kept or workspaces.size"
    })
  }
  override get message() {
    return `${this.kept} workspaces with ${this.bytes} bytes are kept, and ${this.limit} allows no other`
  }
}

/** git said no. */
export class GitFailed extends Schema.TaggedError<GitFailed, Fault>("mister-smith/GitFailed")("GitFailed", {
  command: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      retriesTask: true,
      hint: "run the command by hand in the repository"
    })
  }
  override get message() {
    return `${this.command} failed: ${this.reason}`
  }
}
