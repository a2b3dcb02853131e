/** Configs with something wrong, and exactly what is said about each. DIR is the directory of the config file, where Load.test.ts puts a few files. */

const agents = '"agents": [{ "id": "a" }]'

export const wrongConfigs: ReadonlyArray<readonly [what: string, text: string, says: ReadonlyArray<string>]> = [
  ["no agents", "{}", ["agents: is missing"]],
  ["an empty list of agents", '{ "agents": [] }', ["agents (line 1): expected at least one agent, found []"]],
  ["a misspelt key", `{ ${agents}, "taks": [] }`, ['taks (line 1): there is no such key; did you mean "tasks"?']],
  [
    "a key that is like no other",
    `{ ${agents}, "supervision": { "zzzzzzzzz": 1 } }`,
    [
      "supervision.zzzzzzzzz (line 1): there is no such key; known here: strategy, maxRestarts, within, escalation, restartBudget"
    ]
  ],
  [
    "a duration without its unit",
    `{ ${agents}, "retry": { "delay": 5 } }`,
    ['retry.delay (line 1): expected a duration such as "30 seconds" or "5 minutes", found 5; write "5 seconds"']
  ],
  [
    "a schedule that is none, never comes, or is of no zone",
    `{ ${agents}, "tasks": [{ "prompt": "x", "schedule": "61 * * * *" }, { "prompt": "x", "schedule": { "cron": "0 0 30 2 *", "timeZone": "Mars/X" } }, { "prompt": "x", "schedule": { "cron": "0 0 * * *", "zone": "x" } }] }`,
    [
      'tasks[0].schedule (line 1): expected a cron expression: minute, hour, day, month and weekday, such as "0 3 * * *", found "61 * * * *"',
      'tasks[1].schedule.cron (line 1): expected a time that comes, and this never does, found "0 0 30 2 *"',
      'tasks[1].schedule.timeZone (line 1): expected a time zone such as "Europe/Berlin", "UTC" or "+02:00", found "Mars/X"',
      "tasks[2].schedule.zone (line 1): there is no such key; known here: cron, timeZone"
    ]
  ],
  [
    "a task whose times or pauses cannot be",
    `{ ${agents}, "retry": { "maxDelay": "10 seconds" }, "tasks": [{ "prompt": "x", "timeouts": { "queue": "2 hours", "whole": "1 hour", "attempt": "61 minutes" } }, { "prompt": "x", "retry": { "delay": "1 minute" } }, { "prompt": "x", "retry": { "attempts": 0 }, "timeouts": { "whole": "0 seconds" } }] }`,
    [
      'tasks[0].timeouts.queue (line 1): expected at most timeouts.whole (1 hour), found "2 hours"',
      'tasks[0].timeouts.attempt (line 1): expected at most timeouts.whole (1 hour), found "61 minutes"',
      'tasks[1].retry.delay (line 1): expected at most maxDelay (10 seconds by default), found "1 minute"',
      "tasks[2].retry.attempts (line 1): expected a whole number from 1 to 100, found 0",
      'tasks[2].timeouts.whole (line 1): expected a duration such as "30 seconds" or "5 minutes", longer than nothing, found "0 seconds"'
    ]
  ],
  [
    "a size in a unit that nobody knows",
    `{ ${agents}, "claude": { "maxLine": "3 bananas" } }`,
    [
      'claude.maxLine (line 1): expected a size such as "512 MiB" or "2 GiB", from "64 KiB" to "1 GiB", found "3 bananas"'
    ]
  ],
  [
    "a requirement that no agent meets",
    '{ "agents": [{ "id": "a", "capabilities": ["rust"] }, { "id": "b", "taskTypes": ["code"], "capabilities": ["gpu"] }], "tasks": [{ "prompt": "x", "capabilities": ["rst"] }, { "prompt": "x", "type": "code", "capabilities": ["rust", "gpu"] }] }',
    [
      'tasks[0].capabilities (line 1): no agent that takes this task has rst; did you mean "rust"?',
      "tasks[1].capabilities (line 1): no single agent that takes this task has all of rust, gpu; known are rust, gpu"
    ]
  ],
  [
    "a requirement of an agent that cannot do it, and one where nobody can do anything",
    '{ "agents": [{ "id": "a", "capabilities": ["rust"] }, { "id": "b" }], "tasks": [{ "prompt": "x", "agent": "b", "capabilities": ["rust"] }] }',
    ["tasks[0].capabilities (line 1): no agent that takes this task has rust; no such agent has any capabilities"]
  ],
  [
    "a requirement that only a standby meets, and a spoke that is one",
    '{ "agents": [{ "id": "a" }, { "id": "b", "standby": true, "capabilities": ["rust"] }], "supervision": { "escalation": [{ "do": "start_standby", "child": "b" }] }, "routing": { "strategy": "hub_and_spoke", "spokes": { "code": "b" } }, "tasks": [{ "prompt": "x", "capabilities": ["rust"] }, { "prompt": "x" }] }',
    [
      "tasks[0].capabilities (line 1): only a standby has all of these, and it may never be started",
      'routing.spokes.code (line 1): this agent is a standby, for which tasks would wait until it is started, found "b"'
    ]
  ],
  [
    "a strategy of routing without its file, and one that does not read what is there",
    `{ ${agents}, "routing": { "strategy": "plugin", "spokes": { "code": "a" } } }`,
    [
      'routing.plugin (line 1): is missing: the strategy "plugin" needs a file',
      'routing.spokes (line 1): is read by the strategy "hub_and_spoke" only; set routing.strategy to "hub_and_spoke", or leave this out'
    ]
  ],
  [
    "a routing plugin that is not there",
    `{ ${agents}, "routing": { "strategy": "plugin", "plugin": "none.ts" } }`,
    ['routing.plugin (line 1): expected a file that exists, found "none.ts"']
  ],
  [
    "spokes that lead nowhere, and to an agent that does not take their type",
    '{ "agents": [{ "id": "coder", "taskTypes": ["code"] }], "routing": { "strategy": "hub_and_spoke", "default": "agnt", "spokes": { "code": "codr", "research": "coder" } } }',
    [
      'routing.default (line 1): there is no such agent, found "agnt"',
      'routing.spokes.code (line 1): there is no such agent, found "codr"; did you mean "coder"?',
      'routing.spokes.research (line 1): the agent "coder" does not take tasks of this type, found "coder"'
    ]
  ],
  [
    "a misspelt word",
    `{ ${agents}, "supervision": { "strategy": "one_for_al" } }`,
    [
      'supervision.strategy (line 1): expected one of "one_for_one", "one_for_all", "rest_for_one", "escalate", found "one_for_al"; did you mean "one_for_all"?'
    ]
  ],
  [
    "an id with capitals",
    '{ "agents": [{ "id": "Alice" }] }',
    [
      'agents[0].id (line 1): expected a lower-case name of at most 63 letters, digits and dashes, such as "reviewer-1", found "Alice"'
    ]
  ],
  [
    "too many replicas",
    '{ "agents": [{ "id": "a", "replicas": 1001 }] }',
    ["agents[0].replicas (line 1): expected a whole number from 1 to 1000, found 1001"]
  ],
  [
    "two agents of one name",
    '{ "agents": [{ "id": "a" }, { "id": "a" }] }',
    [
      'agents[1].id (line 1): the name "a" is taken by agents[0]; every agent, replicas included, needs a name of its own'
    ]
  ],
  [
    "an agent with the name of another's replica",
    '{ "agents": [{ "id": "a", "replicas": 2 }, { "id": "a-1" }] }',
    [
      'agents[1].id (line 1): the name "a-1" is taken by agents[0]; every agent, replicas included, needs a name of its own'
    ]
  ],
  [
    "two tasks of one id",
    `{ ${agents}, "tasks": [{ "id": "t", "prompt": "x" }, { "id": "t", "prompt": "y" }] }`,
    ['tasks[1].id (line 1): the id "t" is taken by tasks[0]']
  ],
  [
    "a task for an agent that is not there",
    '{ "agents": [{ "id": "writer" }], "tasks": [{ "agent": "writr", "prompt": "x" }] }',
    ['tasks[0].agent (line 1): there is no such agent, found "writr"; did you mean "writer"?']
  ],
  [
    "a task that prefers an agent that is not there",
    '{ "agents": [{ "id": "writer" }], "tasks": [{ "prefer": "writr", "prompt": "x" }] }',
    ['tasks[0].prefer (line 1): there is no such agent, found "writr"; did you mean "writer"?']
  ],
  [
    "a task that nobody takes",
    '{ "agents": [{ "id": "a", "taskTypes": ["code"] }], "tasks": [{ "prompt": "x" }] }',
    ['tasks[0].type (line 1): no agent takes tasks of this type, found "task"; taken are code']
  ],
  ["a task without a prompt", `{ ${agents}, "tasks": [{}] }`, ["tasks[0].prompt (line 1): is missing"]],
  [
    "a workspace of a kind that there is not",
    '{ "agents": [{ "id": "a", "workspace": { "kind": "worktre", "repository": "." } }, { "id": "b", "workspace": 7 }] }',
    [
      'agents[0].workspace.kind (line 1): expected one of "directory", "fresh", "worktree", found "worktre"; did you mean "worktree"?',
      'agents[1].workspace (line 1): expected text, or an object whose "kind" is one of "directory", "fresh", "worktree", found 7'
    ]
  ],
  [
    "a workspace that is not there",
    '{ "agents": [{ "id": "a", "workspace": "nowhere" }] }',
    ['agents[0].workspace (line 1): expected a directory that exists, found "nowhere"']
  ],
  [
    "a data directory that is a file",
    `{ ${agents}, "dataDir": "token" }`,
    ['dataDir (line 1): expected a directory, or where one can be made, found "token"']
  ],
  [
    "a longest pause that is shorter than the first",
    `{ ${agents}, "retry": { "delay": "1 hour", "maxDelay": "1 minute" } }`,
    ['retry.maxDelay (line 1): expected at least delay (1 hour), found "1 minute"']
  ],
  [
    "a standby that nothing starts, and a step that starts what is none",
    '{ "agents": [{ "id": "a" }, { "id": "b", "standby": true }], "supervision": { "escalation": [{ "do": "start_standby", "child": "a" }] } }',
    [
      'supervision.escalation[0].child (line 1): expected the name of an agent with "standby": true, found "a"',
      'agents[1].standby (line 1): nothing would ever start "b"; add { "do": "start_standby", "child": "b" } to supervision.escalation'
    ]
  ],
  [
    "secrets that are not there",
    `{ ${agents}, "claude": { "env": { "A": { "env": "NOPE" }, "B": { "env": "EMPTY" }, "C": { "file": "nope" }, "D": { "file": "empty" } } } }`,
    [
      "claude.env.A.env (line 1): the environment variable NOPE is not set",
      "claude.env.B.env (line 1): the environment variable EMPTY is empty",
      "claude.env.C.file (line 1): expected a file that holds the secret (there is no such file); its path begins at DIR",
      "claude.env.D.file (line 1): expected a file that holds the secret (is empty); its path begins at DIR"
    ]
  ],
  [
    "a secret that is a number, which is not shown",
    `{ ${agents}, "claude": { "env": { "A": 42 } } }`,
    ['claude.env.A (line 1): expected text, { "env": "NAME" } or { "file": "path" }, found a number']
  ],
  [
    "a secret in the place of the name of its variable, which is not shown",
    `{ ${agents}, "claude": { "env": { "A": { "env": "sk-ant-12345" }, "B": { "env": "ghp_12345" }, "C": { "file": "sk-ant-12345" } } } }`,
    [
      "claude.env.A.env (line 1): the environment variable that is named here is not set",
      "claude.env.B.env (line 1): the environment variable that is named here is not set",
      "claude.env.C.file (line 1): expected a file that holds the secret (there is no such file); its path begins at DIR"
    ]
  ],
  [
    "a reference that is none, told once",
    `{ ${agents}, "claude": { "env": { "A": { "evn": "X" }, "B": { "env": "X", "file": "y" }, "C": {} } } }`,
    [
      'claude.env.A (line 1): expected text, { "env": "NAME" } or { "file": "path" }; did you mean "env"?',
      'claude.env.B (line 1): expected text, { "env": "NAME" } or { "file": "path" }',
      'claude.env.C (line 1): expected text, { "env": "NAME" } or { "file": "path" }'
    ]
  ],
  [
    "a variable and its value in one",
    `{ ${agents}, "claude": { "env": { "TOKEN=s3cret": "" } } }`,
    ['claude.env (line 1): expected names of variables: not empty, without "=" and NUL']
  ],
  [
    "secrets that no process can be given",
    `{ ${agents}, "claude": { "env": { "A": "x\\u0000y", "B": { "file": "here" } } } }`,
    [
      "claude.env.A (line 1): expected text without the character NUL",
      "claude.env.B.file (line 1): expected a file that holds the secret (is a directory); its path begins at DIR"
    ]
  ],
  [
    "claude in the wrong shape, of which nothing is shown",
    `{ ${agents}, "claude": ["s3cret"] }`,
    ["claude (line 1): expected an object, found an array"]
  ],
  [
    "quantities in the wrong words",
    '{ "agents": [{ "id": "a", "limits": { "taskTime": "0 seconds" } }], "claude": { "maxLine": "32 mb", "startTimeout": "1" } }',
    [
      'agents[0].limits.taskTime (line 1): expected a duration such as "30 seconds" or "5 minutes", longer than nothing, found "0 seconds"',
      'claude.maxLine (line 1): expected a size such as "512 MiB" or "2 GiB", from "64 KiB" to "1 GiB", found "32 mb"; write "32 MB"',
      'claude.startTimeout (line 1): expected a duration such as "30 seconds" or "5 minutes", longer than nothing, found "1"; write "1 second"'
    ]
  ],
  [
    "a size without its unit that is out of bounds with any, so that no way to write it is proposed",
    `{ ${agents}, "claude": { "maxLine": 2000 } }`,
    ['claude.maxLine (line 1): expected a size such as "512 MiB" or "2 GiB", from "64 KiB" to "1 GiB", found 2000']
  ],
  [
    "a secret of more bytes than a process can be given, in fewer characters",
    `{ ${agents}, "claude": { "env": { "A": "${"é".repeat(100_000)}" } } }`,
    ["claude.env.A (line 1): expected at most 127 KiB"]
  ],
  [
    "a line that may be too short for any answer",
    `{ ${agents}, "claude": { "maxLine": "1 kB" } }`,
    ['claude.maxLine (line 1): expected a size such as "512 MiB" or "2 GiB", from "64 KiB" to "1 GiB", found "1 kB"']
  ],
  [
    "values of the wrong kinds",
    '{ "name": "", "agents": [{ "id": 1, "replicas": "2", "taskTypes": "x", "session": 1, "limits": null }], "supervision": { "maxRestarts": 1.5 }, "tasks": {} }',
    [
      'name (line 1): expected text that is not empty, found ""',
      "supervision.maxRestarts (line 1): expected an integer, found 1.5",
      "agents[0].id (line 1): expected text, found 1",
      'agents[0].replicas (line 1): expected a number, found "2"',
      'agents[0].taskTypes (line 1): expected an array, found "x"',
      'agents[0].session (line 1): expected one of "per_task", "keep", found 1',
      "agents[0].limits (line 1): expected an object, found null",
      "tasks (line 1): expected an array, found {}"
    ]
  ],
  [
    "steps of an escalation that are none",
    `{ ${agents}, "supervision": { "escalation": [{ "do": "notfy" }, { "do": "stop_node", "exitCode": 0 }, 5] } }`,
    [
      'supervision.escalation[0].do (line 1): expected one of "restart_group", "notify", "start_standby", "stop_node", found "notfy"; did you mean "notify"?',
      "supervision.escalation[1].exitCode (line 1): expected a whole number from 1 to 255, found 0",
      'supervision.escalation[2] (line 1): expected an object whose "do" is one of "restart_group", "notify", "start_standby", "stop_node", found 5'
    ]
  ],
  [
    "a task that only a standby takes",
    '{ "agents": [{ "id": "a", "taskTypes": ["code"] }, { "id": "b", "standby": true }], "supervision": { "escalation": [{ "do": "start_standby", "child": "b" }] }, "tasks": [{ "type": "text", "prompt": "x" }, { "agent": "b", "prompt": "x" }] }',
    [
      'tasks[0].type (line 1): only a standby takes this task, and it may never be started, found "text"',
      'tasks[1].agent (line 1): only a standby takes this task, and it may never be started, found "b"'
    ]
  ],
  [
    "a restart whose longest pause is shorter than its first",
    '{ "agents": [{ "id": "a", "restart": { "initialDelay": "2 minutes", "maxDelay": "1 minute" } }] }',
    ['agents[0].restart.maxDelay (line 1): expected at least initialDelay (2 minutes), found "1 minute"']
  ],
  [
    "a first pause that is longer than the longest is by default",
    '{ "agents": [{ "id": "a", "restart": { "maxDelay": "100 ms" } }, { "id": "b", "restart": { "policy": "on_failure", "maxDelay": "100 ms" } }], "retry": { "delay": "1 hour" } }',
    [
      'retry.delay (line 1): expected at most maxDelay (5 minutes by default), found "1 hour"',
      'agents[0].restart.maxDelay (line 1): expected at least initialDelay (1 second by default), found "100 ms"'
    ]
  ],
  [
    "an id that a task without one has by its position",
    `{ ${agents}, "tasks": [{ "prompt": "x" }, { "id": "task-1", "prompt": "y" }] }`,
    ['tasks[1].id (line 1): the id "task-1" is taken by tasks[0]']
  ],
  [
    "the same in the other order",
    `{ ${agents}, "tasks": [{ "id": "task-2", "prompt": "x" }, { "prompt": "y" }] }`,
    ['tasks[0].id (line 1): the id "task-2" is taken by tasks[1]']
  ],
  [
    "tasks that wait for what is not there",
    `{ ${agents}, "tasks": [{ "prompt": "x", "after": ["task-2", { "task": "biuld" }] }, { "prompt": "y" }, { "id": "build", "prompt": "z" }] }`,
    [
      'tasks[0].after[0] (line 1): there is no task of this id, found "task-2"',
      'tasks[0].after[1].task (line 1): there is no task of this id, found "biuld"; did you mean "build"?'
    ]
  ],
  [
    "tasks that wait for each other",
    `{ ${agents}, "tasks": [{ "id": "a", "prompt": "x", "after": ["b"] }, { "id": "b", "prompt": "y", "after": [{ "task": "c" }] }, { "id": "c", "prompt": "z", "after": ["b"] }] }`,
    ['tasks[1].after[0].task (line 1): it would wait for itself: b → c → b, found "c"']
  ],
  [
    "tasks that go on with conversations that are not there, or with each other's",
    `{ ${agents}, "tasks": [{ "prompt": "x", "session": "biuld" }, { "id": "build", "prompt": "z", "session": { "of": "test" } }, { "id": "test", "prompt": "z", "after": ["build"] }] }`,
    [
      'tasks[0].session (line 1): there is no task of this id, found "biuld"; did you mean "build"?',
      'tasks[1].session.of (line 1): it would wait for itself: build → test → build, found "test"'
    ]
  ],
  [
    "what no time and no priority is",
    `{ ${agents}, "tasks": [{ "prompt": "x", "priority": 11, "notBefore": "tomorrow" }] }`,
    [
      "tasks[0].priority (line 1): expected a whole number from -10 to 10, found 11",
      'tasks[0].notBefore (line 1): expected a time with its zone such as "2030-01-31T08:00:00Z", or a duration such as "2 hours", found "tomorrow"'
    ]
  ],
  [
    "a name that leaves no room for the numbers of its replicas",
    `{ "agents": [{ "id": "${"a".repeat(62)}", "replicas": 2 }] }`,
    ["agents[0].id (line 1): expected at most 61 characters, because replicas add their number, found 62"]
  ],
  [
    "more agents than any machine has room for",
    `{ "agents": [${Array.from({ length: 11 }, (_, index) => `{ "id": "a${index}", "replicas": 1000 }`).join()}] }`,
    ["agents (line 1): expected at most 10000 agents, replicas included, found 11000"]
  ],
  [
    "a task for an agent that does not take its type, or for a replica that is not there",
    '{ "agents": [{ "id": "a", "replicas": 2, "taskTypes": ["code"] }], "tasks": [{ "type": "cod", "agent": "a-2", "prompt": "x" }, { "type": "code", "agent": "a-3", "prompt": "x" }] }',
    [
      'tasks[0].type (line 1): the agent "a-2" does not take tasks of this type, found "cod"; did you mean "code"?',
      'tasks[1].agent (line 1): there is no such agent, found "a-3"; did you mean "a"?'
    ]
  ],
  [
    "a schema that is not one of an object",
    `{ ${agents}, "tasks": [{ "prompt": "x", "schema": { "type": "array" } }] }`,
    ['tasks[0].schema (line 1): expected the JSON Schema of an object, with "type": "object"']
  ],
  [
    "a data directory that would be within a file",
    `{ ${agents}, "dataDir": "token/data" }`,
    ['dataDir (line 1): expected a directory, or where one can be made, found "token/data"']
  ],
  [
    "keys that would spoil the terminal",
    `{ ${agents}, "a.b": 1, "\\u001b[2J": 1 }`,
    ['["a.b"]', '["\\u001b[2J"]'].map(
      (at) =>
        `${at} (line 1): there is no such key; known here: $schema, name, dataDir, tasksKept, deadTasksKept, claude, process, supervision, retry, routing, transport, fleet, logs, workspaces, agents, tasks`
    )
  ],
  [
    "values that would spoil the terminal, or fill it",
    `{ "agents": [{ "id": "${"X".repeat(5000)}", "standby": true }], "name": 1, "retry": { "delay": "1\\n\\nhour", "maxDelay": "1\\u2028s" }, "dataDir": "token\\u009b/\\u202e/\\u0000" }`,
    [
      `agents[0].id (line 1): expected a lower-case name of at most 63 letters, digits and dashes, such as "reviewer-1", found "${"X".repeat(58)}…`,
      `agents[0].standby (line 1): nothing would ever start "${"X".repeat(59)}…"; add { "do": "start_standby", "child": "${"X".repeat(59)}…" } to supervision.escalation`,
      "name (line 1): expected text, found 1",
      'retry.maxDelay (line 1): expected at least delay (1\\n\\nhour), found "1\\u2028s"',
      'dataDir (line 1): expected text without the character NUL, found "token\\u009b/\\u202e/\\u0000"'
    ]
  ],
  [
    "names that are no ids",
    '{ "agents": [{ "id": "a", "taskTypes": ["Code"] }], "tasks": [{ "id": "a b", "type": "x y", "prompt": "x" }] }',
    [
      'agents[0].taskTypes[0] (line 1): expected a lower-case word of at most 63 letters, digits, dashes and underscores, such as "code", found "Code"',
      'tasks[0].id (line 1): expected at most 128 letters, digits, dashes and underscores, such as "fix-login-1", found "a b"',
      'tasks[0].type (line 1): expected a lower-case word of at most 63 letters, digits, dashes and underscores, such as "code", found "x y"'
    ]
  ],
  [
    "servers of a node that is alone, because it does not say which kind",
    `{ ${agents}, "transport": { "servers": ["nats://127.0.0.1:4222"] } }`,
    [
      'transport.servers (line 1): expected no servers, because the kind is memory, with which a node is alone; write "kind": "nats", or leave them out'
    ]
  ],
  [
    "a transport that leads nowhere, and half of each pair",
    `{ ${agents}, "transport": { "kind": "nats", "user": "me", "tls": { "cert": "x" }, "reconnect": { "first": "1 hour" } } }`,
    [
      'transport.servers (line 1): expected at least one server, because the kind is nats; write the address of one, such as "nats://127.0.0.1:4222"',
      "transport.user (line 1): expected transport.password beside it",
      "transport.tls.cert (line 1): expected transport.tls.key beside it",
      "transport.reconnect.first (line 1): expected at most longest (2 seconds by default)"
    ]
  ],
  [
    "a transport with two identities, and secrets in wrong places, which are never shown",
    `{ ${agents}, "transport": { "kind": "nats", "servers": ["nats://me:hunter2@host"], "token": { "env": "NOT_SET" }, "nkey": { "fiel": "hunter2" }, "credentials": { "file": "none" }, "tls": { "ca": 2 } } }`,
    [
      'transport.servers[0] (line 1): expected an address such as "nats://host:4222", without user and password, found text',
      'transport.nkey (line 1): expected text, { "env": "NAME" } or { "file": "path" }; did you mean "file"?',
      'transport.tls.ca (line 1): expected text, { "env": "NAME" } or { "file": "path" }, found a number',
      "transport.credentials (line 1): there is transport.token already: a server is told one thing only; leave one of them out",
      "transport.token.env (line 1): the environment variable NOT_SET is not set",
      "transport.credentials.file (line 1): expected a file that holds the secret (there is no such file); its path begins at DIR"
    ]
  ],
  [
    "a node that counts as gone while it works, and signatures that nobody could give",
    `{ ${agents}, "fleet": { "node": "a.b", "expire": "9 seconds", "signing": { "window": "1 minute" } } }`,
    [
      'fleet.node (line 1): expected a name of at most 63 letters, digits, dashes and underscores, such as "edge-1", found "a.b"',
      "fleet.expire (line 1): expected expire to be at least 2 heartbeats (10 seconds), or nodes that work would count as gone",
      "fleet.signing.trusted (line 1): signatures are required, but nobody is trusted: every message would be refused"
    ]
  ],
  [
    "a seed that is none, which is never shown",
    `{ ${agents}, "fleet": { "heartbeat": "1 minute", "signing": { "seed": { "env": "TOKEN" }, "required": false } } }`,
    [
      "fleet.heartbeat (line 1): expected expire to be at least 2 heartbeats (2 minutes), or nodes that work would count as gone",
      "fleet.signing.seed (line 1): expected the seed of an NKey (SU...): it has another length, kind or letters"
    ]
  ],
  [
    "a node that counts as dead before it is suspected, or before it may",
    `{ ${agents}, "transport": { "kind": "nats", "servers": ["nats://127.0.0.1:4222"] }, "fleet": { "takeover": "20 seconds", "failure": { "suspect": 12.5, "longest": "19 seconds" } } }`,
    [
      "fleet.failure.longest (line 1): expected at least takeover (20 seconds)",
      "fleet.failure.suspect (line 1): expected suspect (12.5) to be below dead (12)"
    ]
  ],
  [
    "a queue that is waited for too long, or not long enough",
    `{ ${agents}, "transport": { "kind": "nats", "servers": ["nats://127.0.0.1:4222"] }, "fleet": { "dispatch": { "grace": "2 minutes", "ackWait": "1 second" } } }`,
    [
      "fleet.dispatch.grace (line 1): expected from 100 millis to 60 seconds",
      "fleet.dispatch.ackWait (line 1): expected from 3 seconds to 60 minutes"
    ]
  ],
  [
    "a queue where nodes bid",
    `{ ${agents}, "transport": { "kind": "nats", "servers": ["nats://127.0.0.1:4222"] }, "fleet": { "placement": "auction", "dispatch": { "grace": "1 second" } } }`,
    [
      'fleet.dispatch (line 1): nodes bid for tasks, and no queue gives them out, because placement is auction; write "placement": "first", or leave it out'
    ]
  ],
  [
    "bids where there is no auction, that are waited for too long",
    `{ ${agents}, "transport": { "kind": "nats", "servers": ["nats://127.0.0.1:4222"] }, "fleet": { "auction": { "window": "11 seconds", "grace": "2 minutes", "price": -1 } } }`,
    [
      "fleet.auction.price (line 1): expected a number, 0 or more, found -1",
      'fleet.auction (line 1): there is no auction, because placement is not auction; write "placement": "auction", or leave it out',
      "fleet.auction.window (line 1): expected at most 10 seconds",
      "fleet.auction.grace (line 1): expected at most 60 seconds"
    ]
  ],
  [
    "what is of a shared ledger where there is none, and tasks for nodes that nobody hears of",
    `{ ${agents}, "fleet": { "node": "one", "takeover": "20 seconds" }, "tasks": [{ "prompt": "x", "node": "one" }, { "prompt": "x", "node": "two" }] }`,
    [
      "fleet.takeover (line 1): this node has no servers: this is of a shared ledger; leave it out",
      'tasks[1].node (line 1): this node has no servers, and called "one": nobody else does it'
    ]
  ],
  [
    "a ledger of its own with the size of a shared one, and a pause that would cost a node what it holds",
    `{ ${agents}, "transport": { "kind": "nats", "servers": ["nats://127.0.0.1:4222"] }, "fleet": { "ledger": "own", "ledgerSize": "1 GiB", "takeover": "500 millis" } }`,
    [
      "fleet.ledgerSize (line 1): the ledger of this node is its own: this is of a shared ledger; leave it out",
      "fleet.takeover (line 1): the ledger of this node is its own: this is of a shared ledger; leave it out",
      "fleet.takeover (line 1): expected at least 1 second"
    ]
  ],
  [
    "several servers that are to keep what is kept by none",
    `{ ${agents}, "fleet": { "replicas": 3 } }`,
    [
      'fleet.replicas (line 1): this node has no servers: there is nothing that could be kept on several, found 3; leave it out, or write "kind": "nats" and "servers" into transport'
    ]
  ],
  ["something missing, at the line around it", '{\n "agents": [\n  {}\n ]\n}', ["agents[0].id (line 3): is missing"]],
  ["nothing but a list", "[]", ["(file): expected an object, found []"]],
  ["more levels than anybody writes", `${"[".repeat(100_000)}`, ["line 1, column 1: expected at most 200 levels"]],
  ["text that is not JSON", '{ "agents": [,] }', ["line 1, column 14: expected JSON (value expected)"]],
  ["nothing", "", ["line 1, column 1: expected JSON (value expected)"]],
  ["a comment", `{ // no\n ${agents} }`, ["line 1, column 3: expected JSON (invalid comment token)"]],
  [
    "a key that stands twice, and what else is wrong",
    `{ ${agents},\n "name": "x",\n "name": "y", "retry": 1 }`,
    ["name (line 3): this key stands twice", "retry (line 3): expected an object, found 1"]
  ],
  [
    "several mistakes, all of them",
    '{\n "agents": [{ "id": "a", "replicas": 0 }],\n "nmae": "x",\n "tasks": [{ "prompt": 1 }]\n}',
    [
      "agents[0].replicas (line 2): expected a whole number from 1 to 1000, found 0",
      'nmae (line 3): there is no such key; did you mean "name"?',
      "tasks[0].prompt (line 4): expected text, found 1"
    ]
  ]
]
