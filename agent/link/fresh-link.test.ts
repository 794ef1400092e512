import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memoryLinkPair } from '@kvasir/api/agent/wire/memory-link.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { freshLink } from './fresh-link.ts';

describe('a link on which the manager speaks regularly', () => {
  const open = () => {
    let now = 0;
    const clock: Clock = { now: () => now, sleep: () => Promise.reject(new Error('unused')), after: () => () => {} };
    const [manager, host] = memoryLinkPair();
    const heard: string[] = [];
    const link = freshLink(host, clock, 8000);
    link.attach({
      text: (message) => heard.push(message),
      bytes: (message) => heard.push(String(message)),
      closed: (reason) => heard.push(`closed: ${reason}`),
    });
    const say = async (...messages: string[]): Promise<void> => {
      for (const message of messages) manager.sendText(message);
      await new Promise(setImmediate);
    };
    return { heard, say, manager, link, pass: (ms: number) => (now += ms) };
  };

  it('delivers what comes in time', async () => {
    const { heard, say, pass } = open();
    await say('one');
    pass(8000);
    await say('two');
    assert.deepEqual(heard, ['one', 'two']);
  });

  it('closes instead of delivering what may have waited in a cut cable, all of it', async () => {
    const { heard, say, pass } = open();
    await say('one');
    pass(8001);
    await say('start a VM', 'another');
    assert.deepEqual(heard, ['one', 'closed: the manager was silent for 8001 ms: what comes now may be old']);
  });

  it('waits for the first word from when it was asked for, not from when the link was there', async () => {
    const { heard, say, pass, link } = open();
    pass(20_000);
    link.sendText('hello');
    pass(8000);
    await say('welcome');
    pass(8001);
    await say('old');
    assert.deepEqual(heard, ['welcome', 'closed: the manager was silent for 8001 ms: what comes now may be old']);
  });

  it('takes no first word that was long in coming', async () => {
    const { heard, say, pass, link } = open();
    link.sendText('hello');
    pass(8001);
    await say('welcome', 'start a VM');
    assert.deepEqual(heard, ['closed: the manager was silent for 8001 ms: what comes now may be old']);
  });

  it('takes bytes for a sign of life too, and holds them to the same', async () => {
    const { heard, manager, pass } = open();
    pass(7000);
    manager.sendBytes(Buffer.from('bytes'), () => {});
    await new Promise(setImmediate);
    pass(7000);
    manager.sendText('text');
    await new Promise(setImmediate);
    assert.deepEqual(heard, ['bytes', 'text']);
  });
});
