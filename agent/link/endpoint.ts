/** HOST:PORT, [IPV6]:PORT, or the path of a unix socket (for tests and for managers behind a forwarder). */
export type Endpoint =
  | { readonly host: string; readonly port: number }
  | { readonly socketPath: string; readonly path: string };

/** @throws Error with the text in words for the command line */
export function splitEndpoint(text: string): Endpoint {
  if (text.startsWith('/')) return { socketPath: text, path: text };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) throw new Error(`'${text}' is not HOST:PORT`);
  return { host: match[1] ?? match[2]!, port };
}
