/**
 * The command lines of the agent and the manager are settings of the lab, because the lab starts them as programs of
 * their own. Words in braces stand for what only the lab knows. Closed list: an unknown word is an error, not text.
 */
import { checkoutDirectory, insideHost, managerEndpoint, nodeBinary } from './layout.ts';
import type { HostLayout, LabLayout } from './layout.ts';

export class PlaceholderError extends Error {}

export function expand(argv: readonly string[], words: Readonly<Record<string, string>>): string[] {
  return argv.map((argument) =>
    argument.replace(/\{([a-zA-Z]+)\}/g, (_, word: string) => {
      const value = Object.hasOwn(words, word) ? words[word] : undefined;
      if (value === undefined) {
        throw new PlaceholderError(`'${argument}': unknown word {${word}}; known: ${Object.keys(words).join(', ')}`);
      }
      return value;
    }),
  );
}

/** The words of an agent's command line; the paths are as seen inside the host. */
export function agentWords(host: HostLayout): Record<string, string> {
  return {
    node: nodeBinary,
    checkout: checkoutDirectory,
    host: host.name,
    managementAddress: host.addresses.management,
    storageAddress: host.addresses.storage,
    manager: `${managerEndpoint.address}:${managerEndpoint.port}`,
    libvirtSocket: insideHost.libvirtSocket,
    ovsdbSocket: insideHost.ovsdbSocket,
    bridge: insideHost.integrationBridge,
    uplinkBridge: insideHost.uplinkBridge,
    tunnelAddress: host.addresses.tunnel,
    sharedStorage: insideHost.sharedStorage,
    localStorage: insideHost.localStorage,
    config: insideHost.agentConfig,
    state: insideHost.agentState,
  };
}

/** The words of the manager's command line; the paths are the machine's. */
export function managerWords(lab: LabLayout): Record<string, string> {
  return {
    node: nodeBinary,
    checkout: checkoutDirectory,
    directory: lab.managerDirectory,
    agentSocket: lab.managerAgentSocket,
    agentAddress: managerEndpoint.address,
    agentPort: String(managerEndpoint.port),
    sharedStorage: lab.sharedStorage,
  };
}
