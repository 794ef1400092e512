/**
 * A libvirt daemon for tests, in this process: it speaks the frames and the opening calls; a test decides what it answers
 * to the rest. Everything it received is in `received`.
 */
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from '../codec.ts';
import { frame, type Message, MessageReader, messageStatus, messageType } from '../message.ts';
import { keepAliveProgram, type Procedure, remoteProgram } from '../procedure.ts';
import { procedures } from '../procedures/table.ts';
import { wireError } from '../wire-types.ts';

export class Peer {
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  answer<Result>({ program, number }: Procedure<unknown, Result>, serial: number, result: NoInfer<Result>): Buffer;
  answer(procedure: Procedure<unknown, unknown>, serial: number, result: unknown): Buffer {
    const header = { program: procedure.program, procedure: procedure.number, type: messageType.reply };
    return frame({ ...header, serial, status: messageStatus.ok }, encode(procedure.result, result));
  }

  reply<Result>(procedure: Procedure<unknown, Result>, serial: number, result: NoInfer<Result>): void {
    this.socket.write(this.answer(procedure, serial, result));
  }

  fail(to: Message, code: number, message: string, type: number = messageType.reply): void {
    const none = { dom: null, str1: message, str2: null, str3: null, int1: -1, int2: -1, network: null };
    const body = encode(wireError, { code, domain: 10, message, level: 2, ...none });
    this.#send({ ...to, type, status: messageStatus.error }, body);
  }

  event(procedure: number, body: Buffer, program = remoteProgram): void {
    this.#send({ program, procedure, type: messageType.event, serial: 0, status: 0 }, body);
  }

  stream(opened: Message, status: number, data: Buffer): void {
    this.#send({ ...opened, type: messageType.stream, status }, data);
  }

  ping(): void {
    this.#send(
      { program: keepAliveProgram, procedure: 1, type: messageType.event, serial: 0, status: 0 },
      Buffer.alloc(0),
    );
  }

  #send(header: Parameters<typeof frame>[0], body: Buffer): void {
    this.socket.write(frame(header, body));
  }
}

export type Handler = (message: Message, peer: Peer) => void;

export class FakeDaemon extends EventEmitter<{ received: [Message, Peer] }> {
  readonly socketPath: string;
  readonly received: Message[] = [];
  /** What is not answered by the opening calls comes here. */
  handler: Handler = () => undefined;
  answersPings = true;
  answersOpening = true;
  readonly #directory: string;
  readonly #peers = new Set<Peer>();
  #server: Server | undefined;

  private constructor(directory: string) {
    super();
    this.#directory = directory;
    this.socketPath = join(directory, 'sock');
  }

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(join(tmpdir(), 'kvasir-fake-libvirt-')));
    await daemon.listen();
    return daemon;
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    server.listen(this.socketPath);
    await once(server, 'listening');
  }

  /** Drops every connection and accepts no more, as a daemon that dies. */
  async die(): Promise<void> {
    for (const peer of this.#peers) peer.socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.close();
    await once(server, 'close');
  }

  async remove(): Promise<void> {
    await this.die();
    await rm(this.#directory, { recursive: true, force: true });
  }

  get peers(): readonly Peer[] {
    return [...this.#peers];
  }

  /** Resolves with the next message of this procedure, or with one that came already. */
  async saw(procedure: { readonly number: number }, type: number = messageType.call): Promise<[Message, Peer]> {
    for (;;) {
      const found = this.#seen.find(([message]) => message.procedure === procedure.number && message.type === type);
      if (found !== undefined) return found;
      await once(this, 'received');
    }
  }

  readonly #seen: [Message, Peer][] = [];

  #accept(socket: Socket): void {
    const peer = new Peer(socket);
    const reader = new MessageReader();
    this.#peers.add(peer);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#peers.delete(peer));
    socket.on('data', (chunk) => {
      for (const message of reader.push(chunk)) this.#receive({ ...message, body: Buffer.from(message.body) }, peer);
    });
  }

  #receive(message: Message, peer: Peer): void {
    this.received.push(message);
    this.#seen.push([message, peer]);
    if (message.program === keepAliveProgram) {
      if (this.answersPings) peer.socket.write(frame({ ...message, procedure: 2 }, Buffer.alloc(0)));
    } else if (!(message.type === messageType.call && this.#opening(message, peer))) this.handler(message, peer);
    this.emit('received', message, peer);
  }

  #opening({ program, procedure, serial }: Message, peer: Peer): boolean {
    if (!this.answersOpening) return false;
    const { authList, connectOpen, connectSupportsFeature, connectClose } = procedures;
    const register = procedures.connectDomainEventCallbackRegisterAny;
    const monitor = procedures.qemuConnectDomainMonitorEventRegister;
    if (program === monitor.program) {
      if (procedure !== monitor.number) return false;
      peer.reply(monitor, serial, { callbackId: serial });
    } else if (procedure === authList.number) peer.reply(authList, serial, { types: [0] });
    else if (procedure === connectOpen.number) peer.reply(connectOpen, serial, undefined);
    else if (procedure === connectClose.number) peer.reply(connectClose, serial, undefined);
    else if (procedure === connectSupportsFeature.number)
      peer.reply(connectSupportsFeature, serial, { supported: true });
    else if (procedure === register.number) peer.reply(register, serial, { callbackId: serial });
    else return false;
    return true;
  }
}
