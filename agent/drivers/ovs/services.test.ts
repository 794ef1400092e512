/** The services of a host live on whatever guests send them. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { it } from 'node:test';
import { sendFromPortZero } from '../../testing/port-zero.ts';
import { answerAll } from './services.ts';

it('a question that comes from no port is not answered, and the next one is', async () => {
  const server = createSocket('udp4');
  const client = createSocket('udp4');
  server.bind(0, '127.0.0.1');
  client.bind(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(client, 'listening')]);
  const { port } = server.address();
  let fromNowhere = 0;
  server.on('message', (_query, from) => (fromNowhere += from.port === 0 ? 1 : 0));
  answerAll(server, (query) => query);
  await sendFromPortZero(Buffer.from('x'), '127.0.0.1', { address: '127.0.0.1', port });
  client.send('question', port, '127.0.0.1');
  const [answer] = await once(client, 'message');
  assert.equal(String(answer), 'question');
  assert.equal(fromNowhere, 1);
  server.close();
  client.close();
});
