/** Indexes that keep the costs of a create and of the task runner from growing with what there is already. */
export const indexesForMany = {
  name: '0003-indexes-for-many',
  statements: [
    // What the runner looks for after each commit, in its order.
    "create index tasks_open on tasks (created_at, id) where state in ('queued', 'running', 'undoing')",
    "create index tasks_open_later on tasks (not_before) where state in ('queued', 'running', 'undoing')",
    // The sums over what hosts have promised, without a look at the rows themselves.
    'create index vms_by_promise on vms (host_id, state, cpus, memory_mib, id)',
    'drop index vms_by_host',
    'create index vms_by_state on vms (project_id, state, name)',
    'create index events_by_kind on events (kind, seq)',
  ],
} as const;
