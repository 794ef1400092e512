/** The few members that the store uses of two packages that ship no types. */
declare module 'better-sqlite3' {
  interface Statement {
    readonly reader: boolean;
    all(...parameters: readonly unknown[]): unknown[];
    run(...parameters: readonly unknown[]): { changes: number; lastInsertRowid: number | bigint };
    iterate(...parameters: readonly unknown[]): IterableIterator<unknown>;
  }
  interface Database {
    prepare(sql: string): Statement;
    exec(sql: string): void;
    pragma(text: string): unknown;
    close(): void;
  }
  const Database: new (path: string, options?: { readonly readonly?: boolean; readonly timeout?: number }) => Database;
  export default Database;
  export type { Database, Statement };
}

declare module 'pg' {
  import type { PostgresPool } from 'kysely';
  interface PoolOptions {
    readonly connectionString: string;
    readonly max: number;
    readonly idle_in_transaction_session_timeout: number;
    readonly keepAlive: boolean;
    readonly keepAliveInitialDelayMillis: number;
    readonly types?: { getTypeParser(oid: number, format?: string): (value: string) => unknown };
  }
  interface Pool extends PostgresPool {
    on(event: 'error', listener: (error: Error) => void): void;
    on(event: 'connect', listener: (client: Client) => void): void;
  }
  export const Pool: new (options: PoolOptions) => Pool;
  interface ClientOptions {
    readonly connectionString: string;
    readonly keepAlive: boolean;
    readonly keepAliveInitialDelayMillis: number;
    readonly application_name: string;
  }
  interface Client {
    connect(): Promise<void>;
    query(text: string): Promise<unknown>;
    end(): Promise<void>;
    on(event: 'error' | 'end', listener: () => void): void;
    on(event: 'notification', listener: (notification: { readonly payload?: string }) => void): void;
  }
  export const Client: new (options: ClientOptions) => Client;
  export const types: { getTypeParser(oid: number, format?: string): (value: string) => unknown };
}
