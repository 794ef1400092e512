/** Writing and reading libvirt's XML: a small element form over fast-xml-parser's ordered mode. Nothing here knows about domains. */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Element | string)[];
}

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;
type Child = Element | string | null | undefined | readonly Element[];

/** `element('vcpu', { current: 1 }, '4')`; undefined attributes and empty children are left out, booleans read yes/no. */
export function element(name: string, attributes: Attributes = {}, ...children: readonly Child[]): Element {
  const set: Record<string, string> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    set[key] = typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
  }
  const flat: (Element | string)[] = [];
  for (const child of children) {
    if (child === null || child === undefined) continue;
    if (Array.isArray(child)) flat.push(...(child as readonly Element[]));
    else flat.push(child as Element | string);
  }
  return { name, attributes: set, children: flat };
}

type Ordered = Record<string, unknown>;
const attributesKey = ':@';
const textKey = '#text';

export function writeXml(root: Element): string {
  const builder = new XMLBuilder({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    suppressEmptyNode: true,
    format: true,
  });
  return builder.build([toOrdered(root)]);
}

/** Parses one document; throws when it has no root element. Entities beyond XML's own five are left as they are. */
export function readXml(text: string): Element {
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseTagValue: false,
    parseAttributeValue: false,
    trimValues: true,
    ignoreDeclaration: true,
  });
  const parsed = parser.parse(text) as Ordered[];
  const root = parsed
    .map(fromOrdered)
    .find((node): node is Element => typeof node !== 'string' && !node.name.startsWith('?'));
  if (!root) throw new Error('XML document without a root element');
  return root;
}

/** First child of that name along a path: `find(domain, 'os', 'type')`. */
export function find(from: Element, ...path: readonly string[]): Element | undefined {
  let at: Element | undefined = from;
  for (const name of path)
    at = at?.children.find((child): child is Element => typeof child !== 'string' && child.name === name);
  return at;
}

export function findAll(from: Element | undefined, name: string): readonly Element[] {
  return (from?.children ?? []).filter((child): child is Element => typeof child !== 'string' && child.name === name);
}

export function textOf(from: Element | undefined): string {
  return (from?.children ?? []).filter((child): child is string => typeof child === 'string').join('');
}

function toOrdered(node: Element): Ordered {
  const content = node.children.map((child) => (typeof child === 'string' ? { [textKey]: child } : toOrdered(child)));
  return {
    [node.name]: content,
    ...(Object.keys(node.attributes).length > 0 ? { [attributesKey]: node.attributes } : {}),
  };
}

function fromOrdered(node: Ordered): Element | string {
  const name = Object.keys(node).find((key) => key !== attributesKey) ?? textKey;
  if (name === textKey) return String(node[textKey]);
  return {
    name,
    attributes: (node[attributesKey] ?? {}) as Record<string, string>,
    children: (node[name] as Ordered[]).map(fromOrdered),
  };
}
