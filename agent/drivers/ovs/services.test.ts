/** The services of a host live on whatever guests send them. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { it } from 'node:test';
import { sendFromPortZero } from '../../testing/port-zero.ts';
import { powersOfTheUnit, runWithPowers } from '../../testing/unit-powers.ts';
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

it('the ports of the services can be opened with the powers that the unit of the agent leaves', async () => {
  const listen = `import { createServer } from 'node:net';
    import { createSocket } from 'node:dgram';
    import { once } from 'node:events';
    const [http, dns] = [createServer().listen(80), createSocket('udp4').bind(53)];
    await Promise.all([once(http, 'listening'), once(dns, 'listening')]);
    process.exit();`;
  await runWithPowers(powersOfTheUnit(), listen, { ownNetwork: true });
});
