/** Everything that a request may not change when it is refused: all tables but the audit trail, with when tokens were used. */
import type { Store } from '../../store/database.ts';
import { sql } from 'kysely';

const tables = [
  'users',
  'sessions',
  'organizations',
  'organization_members',
  'projects',
  'project_members',
  'clusters',
  'hosts',
  'join_tokens',
  'pools',
  'pool_hosts',
  'images',
  'image_copies',
  'volumes',
  'networks',
  'ports',
  'sub_ports',
  'network_addresses',
  'switches',
  'uplinks',
  'security_groups',
  'security_group_rules',
  'port_security_groups',
  'qos_policies',
  'mirrors',
  'routers',
  'router_interfaces',
  'floating_addresses',
  'vms',
  'vm_disks',
  'tasks',
  'task_steps',
  'task_locks',
  'events',
  'counters',
  'idempotency_keys',
  'settings',
  'uploads',
];

export async function dump(store: Store): Promise<string> {
  const parts: string[] = [];
  for (const table of tables) {
    const { rows } = await sql`select * from ${sql.table(table)}`.execute(store.db);
    parts.push(
      `${table}: ${rows
        .map((row) => JSON.stringify(row))
        .sort()
        .join('\n')}`,
    );
  }
  const tokens =
    await sql`select id, name, user_id, token_hash, expires_at, revision from api_tokens order by id`.execute(store.db);
  return [...parts, JSON.stringify(tokens.rows)].join('\n');
}
