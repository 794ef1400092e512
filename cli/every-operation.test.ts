/** Every operation of the contract has a command, and what is typed arrives as the request that was meant. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { allOperations } from '@kvasir/api/contract.ts';
import fc from 'fast-check';
import { fieldsOf, kebab } from './fields.ts';
import { commandName } from './operation-command.ts';
import { commandLine, type SampleRequest } from './testing/command-line.ts';
import { type FakeManager, startFakeManager } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';
import { schemaArbitrary } from './testing/schema-arbitrary.ts';

const globalFlags = ['output', 'wide', 'project', 'profile', 'url', 'wait', 'help', 'if-match', 'idempotency-key'];
const derived = allOperations.filter((operation) => !operation.cli.hidden);

/** Hidden operations and the command of the CLI's own that serves each. */
const ownCommands: Readonly<Record<string, readonly string[]>> = {
  'session.create': ['login'],
  'image.upload': ['image', 'upload'],
  'vm.screenshot': ['vm', 'screenshot'],
  'vm.openConsole': ['vm', 'console'],
  'vm.console': ['vm', 'console'],
  'event.watch': ['event', 'list'],
};

describe('every operation', () => {
  let manager: FakeManager;
  before(async () => {
    manager = await startFakeManager();
  });
  after(() => manager[Symbol.asyncDispose]());

  for (const operation of derived) {
    test(`${operation.id}: its help names every field`, async () => {
      const { code, stdout } = await runCli([kebab(operation.resource), commandName(operation), '--help']);
      assert.equal(code, 0);
      assert.ok(stdout.replace(/\s+/g, ' ').includes(operation.summary));
      const { options } = fieldsOf(operation);
      for (const field of options) assert.ok(stdout.includes(`--${field.flag}`), field.flag);
      const flags = options.flatMap((field) => [field.flag, ...field.aliases]);
      assert.equal(new Set(flags).size, flags.length, 'two fields share an option');
      assert.deepEqual(
        flags.filter((flag) => globalFlags.includes(flag) && flag !== 'project'),
        [],
      );
    });

    test(`${operation.id}: what is typed is what is sent`, async () => {
      const request = fc.record({
        params: schemaArbitrary(operation.params),
        query: schemaArbitrary(operation.query),
        body: operation.body ? schemaArbitrary(operation.body) : fc.constant(undefined),
      }) as fc.Arbitrary<SampleRequest>;
      const check = fc.asyncProperty(request, async (sample) => {
        const { words, stdin } = commandLine(operation, sample);
        // A lone dash means stdin; a secret is one line.
        fc.pre(!words.some((word) => word.endsWith('=-') && !word.endsWith('-file=-')));
        const secrets = words.filter((word) => word.endsWith('-file=-')).length;
        fc.pre(stdin.split(/[\r\n]/).length === secrets + 1);
        manager.requests.length = 0;
        const { code, stderr } = await runCli(words, { env: { KVASIR_URL: manager.url, KVASIR_TOKEN: 't' }, stdin });
        assert.equal(code, 0, `${words.join(' ')}\n${stderr}`);
        const asked = manager.requests[0];
        assert.equal(asked?.operation, operation.id);
        assert.deepEqual(asked.params, texts(sample.params));
        assert.deepEqual(asked.query, texts(sample.query));
        assert.deepEqual(asked.body, operation.body ? withoutEmptyObjects(operation.body, sample.body) : undefined);
        assert.equal(asked.headers.authorization, 'Bearer t');
      });
      await fc.assert(check, { numRuns: 5 });
    });
  }

  test('hidden operations have a command of their own', async () => {
    const hidden = allOperations.filter((operation) => operation.cli.hidden).map((operation) => operation.id);
    assert.deepEqual(hidden.toSorted(), Object.keys(ownCommands).toSorted());
    for (const words of Object.values(ownCommands)) {
      assert.equal((await runCli([...words, '--help'])).code, 0, words.join(' '));
    }
  });

  test('the front page names every resource', async () => {
    const { code, stdout } = await runCli([]);
    assert.equal(code, 0);
    for (const operation of allOperations)
      assert.ok(stdout.includes(`  ${kebab(operation.resource)} `), operation.resource);
    for (const command of ['demo', 'lab', 'test', 'login']) assert.ok(stdout.includes(`  ${command} `), command);
  });
});

function texts(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
}

/** A nested object without any field cannot be typed, nor does it say anything. */
function withoutEmptyObjects(schema: unknown, value: unknown): unknown {
  const { properties } = schema as { properties?: Record<string, { properties?: object }> };
  return Object.fromEntries(
    Object.entries(value as object).filter(
      ([key, inner]) => properties?.[key]?.properties === undefined || Object.keys(inner as object).length > 0,
    ),
  );
}
