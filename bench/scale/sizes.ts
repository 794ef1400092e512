/** What every simulated host serves and every VM is made of. */
export const poolPath = '/srv/kvasir/shared';
export const poolName = 'shared';
export const imageFile = 'small.qcow2';
export const imageName = 'small';
export const networkName = 'default';
export const vmMemoryMib = 1024;

export function hostName(index: number): string {
  return `h${String(index).padStart(4, '0')}`;
}

export function vmName(index: number): string {
  return `vm${String(index).padStart(5, '0')}`;
}
