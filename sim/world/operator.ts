/** An administrator of a simulated world: calls the manager's own services, as its API does. What is refused stays undone. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Operation, RequestOf } from '@kvasir/api/operation.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { hostStandbyOperations } from '@kvasir/api/resources/host-standby.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { Actor, Call, ChangeService } from '@kvasir/manager/services/call.ts';
import { confirmHostOff } from '@kvasir/manager/services/host-confirm-off.ts';
import { sendToStandby, wakeHost } from '@kvasir/manager/services/host-standby.ts';
import { createVm } from '@kvasir/manager/services/vm-create.ts';
import { migrateVm } from '@kvasir/manager/services/vm-migrate.ts';
import { stopVm } from '@kvasir/manager/services/vm-power.ts';
import { startVm } from '@kvasir/manager/services/vm-start.ts';
import type { World } from './world.ts';

export class Operator {
  readonly #world: World;
  readonly #actor: Actor;

  constructor(world: World, userId: string) {
    this.#world = world;
    this.#actor = {
      userId,
      userName: 'admin',
      systemRole: 'admin',
      credential: { kind: 'session', id: userId, expiresAtMs: null },
      projectRoles: new Map(),
      organizationIds: new Set(),
    };
  }

  startVm(vm: string): void {
    this.#ask(`start ${vm}`, vmOperations.start, startVm, { params: { vm }, query: {}, body: {} });
  }

  stopVm(vm: string): void {
    this.#ask(`stop ${vm}`, vmOperations.stop, stopVm, { params: { vm }, query: {}, body: {} });
  }

  migrateVm(vm: string, host: string): void {
    this.#ask(`migrate ${vm} to ${host}`, vmOperations.migrate, migrateVm, {
      params: { vm },
      query: {},
      body: { host },
    });
  }

  createVm(name: string): void {
    const body = { name, memoryMib: 512, disks: [{ pool: 'shared', sizeGib: 1 }] };
    this.#ask(`create ${name}`, vmOperations.create, createVm, { params: {}, query: {}, body });
  }

  confirmOff(host: string): void {
    const body = { confirm: true, statement: 'I stand beside it' };
    this.#ask(`confirm that ${host} is off`, hostOperations.confirmOff, confirmHostOff, { params: { host }, body });
  }

  sendToStandby(host: string): void {
    this.#ask(`send ${host} to standby`, hostStandbyOperations.standby, sendToStandby, { params: { host }, body: {} });
  }

  wakeHost(host: string): void {
    this.#ask(`wake ${host}`, hostStandbyOperations.wake, wakeHost, { params: { host } });
  }

  #ask<O extends Operation>(what: string, op: O, service: ChangeService<O>, request: unknown): void {
    this.#do(what, async (call) =>
      call.env.store.transaction((tx) => service({ ...call, op, db: tx, tx }, request as RequestOf<O>)),
    );
  }

  #do(what: string, work: (call: Omit<Call, 'op'> & { op: never }) => Promise<unknown>): void {
    const { env } = this.#world;
    if (env === undefined) {
      this.#world.tell(`operator: ${what}: nobody answers`);
      return;
    }
    const call = {
      env,
      op: undefined as never,
      actor: this.#actor,
      sourceAddress: '127.0.0.1',
      ifMatch: undefined,
      scope: { checked: true, projectId: null, user: undefined },
      db: env.store.db,
      reauthenticate: () => Promise.resolve(this.#actor),
    };
    this.#world.tell(`operator: ${what}`);
    work(call).then(
      () => this.#world.tell(`operator: ${what}: accepted`),
      (error: unknown) => {
        if (!(error instanceof KvasirError)) throw error;
        this.#world.tell(`operator: ${what}: refused: ${error.message}`);
      },
    );
  }
}
