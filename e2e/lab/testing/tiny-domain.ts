/**
 * A VM of the tiny guest described straight in libvirt's terms, for tests of the lab itself, where Kvasir is not yet
 * between the test and the hypervisor.
 */

export type TinyDomain = {
  readonly name: string;
  /** Paths as the host sees them. */
  readonly disk: string;
  readonly seed?: string;
  readonly macAddress?: string;
};

const hostOffloadsOff = "<host csum='off' gso='off' tso4='off' tso6='off' ecn='off' ufo='off'/><guest csum='off'/>";

/** The guest's kernel, as those of cloud images, has no SATA: the seed is a CD on virtio-scsi. */
function seedCd(path: string): string {
  return (
    "<controller type='scsi' model='virtio-scsi'/>" +
    `<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='${path}'/>` +
    "<target dev='sda' bus='scsi'/><readonly/></disk>"
  );
}

/** One CPU, 128 MiB, software emulation, a NIC on br-phy when it has a MAC address, serial line into /var/log/NAME.serial. */
export function tinyDomainXml(domain: TinyDomain): string {
  const nic =
    domain.macAddress === undefined
      ? ''
      : `<interface type='bridge'><source bridge='br-phy'/><mac address='${domain.macAddress}'/>` +
        `<virtualport type='openvswitch'/><model type='virtio'/><driver>${hostOffloadsOff}</driver><rom enabled='no'/></interface>`;
  return `<domain type='qemu'>
  <name>${domain.name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><apic/></features><cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${domain.disk}'/><target dev='vda' bus='virtio'/></disk>
    ${domain.seed === undefined ? '' : seedCd(domain.seed)}
    ${nic}
    <serial type='file'><source path='/var/log/${domain.name}.serial'/><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='virtio'/>
  </devices>
</domain>
`;
}
