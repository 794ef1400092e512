import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Element, element, find, findAll, readXml, textOf, writeXml } from './xml.ts';

test('what is written is read back: names, order, attributes and text with markup in it', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
  const text = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
  const tree = fc.letrec<{ node: Element }>((tie) => ({
    node: fc.record(
      {
        name: word,
        attributes: fc.dictionary(word, text, { maxKeys: 3, noNullPrototype: true }),
        children: fc.oneof(
          { depthSize: 'small', withCrossShrink: true },
          text.map((value) => [value]),
          fc.array(tie('node'), { maxLength: 3 }),
        ),
      },
      { noNullPrototype: true },
    ) as fc.Arbitrary<Element>,
  })).node;
  fc.assert(fc.property(tree, (node) => assert.deepEqual(readXml(writeXml(node)), node)));
});

test('undefined attributes are left out and booleans read yes and no', () => {
  assert.equal(
    writeXml(element('target', { dev: 'vda', bus: undefined, managed: false })).trim(),
    '<target dev="vda" managed="no"/>',
  );
});

test('children are found by name', () => {
  const root = readXml(
    '<domain><os><type arch="x86_64">hvm</type></os><devices><disk a="1"/><disk a="2"/></devices></domain>',
  );
  assert.equal(textOf(find(root, 'os', 'type')), 'hvm');
  assert.deepEqual(
    findAll(find(root, 'devices'), 'disk').map((disk) => disk.attributes.a),
    ['1', '2'],
  );
  assert.equal(find(root, 'nothing', 'here'), undefined);
});
