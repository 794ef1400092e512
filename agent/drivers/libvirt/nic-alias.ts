/** How NICs are found again in a domain: by aliases from our own ids. */
export function nicAlias(nicId: string): string {
  return `ua-nic-${nicId}`;
}

/** The virtual function that carries the NIC's traffic while it is plugged in. */
export function functionAlias(nicId: string): string {
  return `ua-vf-${nicId}`;
}
