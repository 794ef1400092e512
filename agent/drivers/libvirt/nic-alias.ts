/** How NICs are found again in a domain: by aliases from our own ids. */
export function nicAlias(nicId: string): string {
  return `ua-nic-${nicId}`;
}

/** null: no NIC of ours. */
export function nicOfAlias(alias: string): string | null {
  return alias.startsWith('ua-nic-') ? alias.slice('ua-nic-'.length) : null;
}

/** The virtual function that carries the NIC's traffic while it is plugged in. */
export function functionAlias(nicId: string): string {
  return `ua-vf-${nicId}`;
}
