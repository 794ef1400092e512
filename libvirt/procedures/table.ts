/** Every procedure that this client knows, by name; the type of a call follows from here. */
import type { CodecValue } from '../codec.ts';
import { blockProcedures } from './block.ts';
import { connectProcedures } from './connect.ts';
import { deviceProcedures } from './device.ts';
import { domainProcedures } from './domain.ts';
import { guestProcedures } from './guest.ts';
import { migrationProcedures } from './migration.ts';
import { statisticsProcedures } from './statistics.ts';

export const procedures = {
  ...connectProcedures,
  ...domainProcedures,
  ...deviceProcedures,
  ...blockProcedures,
  ...statisticsProcedures,
  ...migrationProcedures,
  ...guestProcedures,
} as const;

export type Procedures = typeof procedures;
export type ProcedureName = keyof Procedures;
export type ArgsOf<N extends ProcedureName> = CodecValue<Procedures[N]['args']>;
export type ResultOf<N extends ProcedureName> = CodecValue<Procedures[N]['result']>;
