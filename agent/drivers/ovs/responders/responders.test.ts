import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { arpFrame, readArp } from './arp.ts';
import { answerDhcp, type DhcpLease } from './dhcp.ts';
import { answerDns, type DnsZone } from './dns.ts';
import {
  broadcastMac,
  macBytes,
  readEthernet,
  readIpv4,
  readIpv6,
  writeEthernet,
  writeIcmpv6,
  writeIpv4,
  writeUdp,
} from './frame.ts';
import { metadataPage } from './metadata.ts';
import { answerSolicitation } from './router-advertisement.ts';

const mac = '52:54:00:00:00:01';
const server = { address: '169.254.169.254', macAddress: '02:00:00:00:00:01' };
const lease: DhcpLease = {
  macAddress: mac,
  address: '10.0.0.5',
  prefixLength: 20,
  gateway: '10.0.0.1',
  dnsServers: ['9.9.9.9'],
  hostName: 'web',
  domain: 'example',
  mtu: 1450,
  leaseSeconds: 600,
  server,
  servesMetadata: true,
};

function dhcpRequest(type: number, options: readonly number[] = [], client = mac): Buffer {
  const fixed = Buffer.alloc(240);
  fixed.set([1, 1, 6]);
  fixed.writeUInt32BE(0xabcd1234, 4);
  macBytes(client).copy(fixed, 28);
  fixed.writeUInt32BE(0x63825363, 236);
  const message = Buffer.concat([fixed, Buffer.of(53, 1, type, ...options, 255)]);
  const udp = writeUdp({ address: '0.0.0.0', port: 68 }, { address: '255.255.255.255', port: 67 }, message);
  const payload = writeIpv4({ source: '0.0.0.0', destination: '255.255.255.255', protocol: 17, payload: udp });
  return writeEthernet({ destination: broadcastMac, source: client, type: 0x0800, payload });
}

function dhcpAnswer(frame: Buffer | null): { readonly message: Buffer; readonly options: Map<number, number[]> } {
  assert.ok(frame !== null);
  const message = readIpv4(readEthernet(frame)!.payload)!.payload.subarray(8);
  const options = new Map<number, number[]>();
  for (let at = 240; message[at] !== 255; at += message[at + 1]! + 2) {
    options.set(message[at]!, [...message.subarray(at + 2, at + 2 + message[at + 1]!)]);
  }
  return { message, options };
}

describe('DHCP', () => {
  it('offers the reserved address with the settings of the network', () => {
    const { message, options } = dhcpAnswer(answerDhcp(dhcpRequest(1), lease));
    assert.equal(message.readUInt32BE(4), 0xabcd1234);
    assert.deepEqual([...message.subarray(16, 20)], [10, 0, 0, 5]);
    assert.deepEqual(options.get(53), [2]);
    assert.deepEqual(options.get(1), [255, 255, 240, 0]);
    assert.deepEqual(options.get(28), [10, 0, 15, 255]);
    assert.deepEqual(options.get(51), [0, 0, 2, 88]);
    assert.deepEqual(options.get(121), [32, 169, 254, 169, 254, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
  });

  it('acknowledges its own address and refuses another', () => {
    assert.deepEqual(dhcpAnswer(answerDhcp(dhcpRequest(3, [50, 4, 10, 0, 0, 5]), lease)).options.get(53), [5]);
    assert.deepEqual(dhcpAnswer(answerDhcp(dhcpRequest(3, [50, 4, 10, 0, 0, 6]), lease)).options.get(53), [6]);
  });

  it('says nothing to other servers’ clients, to other hardware, or to nonsense', () => {
    assert.equal(answerDhcp(dhcpRequest(3, [54, 4, 1, 2, 3, 4]), lease), null);
    assert.equal(answerDhcp(dhcpRequest(1, [], '52:54:00:00:00:02'), lease), null);
    for (let length = 0; length < 300; length += 7) {
      assert.doesNotThrow(() => answerDhcp(dhcpRequest(1, [50, 200]).subarray(0, length), lease));
    }
  });
});

describe('router advertisements', () => {
  it('answer a solicitation with the prefix, from the router’s link-local address', () => {
    const payload = writeIcmpv6('fe80::1', 'ff02::2', Buffer.from([133, 0, 0, 0, 0, 0, 0, 0]));
    const frame = writeEthernet({ destination: '33:33:00:00:00:02', source: mac, type: 0x86dd, payload });
    const settings = {
      macAddress: '52:54:00:aa:bb:cc',
      prefix: 'fd00:1::',
      prefixLength: 64,
      mtu: 1400,
      dnsServers: ['fd00:1::53'],
    };
    const answer = answerSolicitation(frame, { ...settings, isRouter: true })!;
    const packet = readIpv6(readEthernet(answer)!.payload)!;
    assert.equal(packet.source, 'fe80:0000:0000:0000:5054:00ff:feaa:bbcc');
    assert.equal(packet.destination, 'fe80:0000:0000:0000:0000:0000:0000:0001');
    assert.equal(packet.payload[0], 134);
    assert.ok(packet.payload.readUInt16BE(6) > 0, 'a way out');
    assert.ok(packet.payload.includes(Buffer.from('fd000001000000000000000000000000', 'hex')));
    const none = answerSolicitation(frame, { ...settings, isRouter: false })!;
    assert.equal(readIpv6(readEthernet(none)!.payload)!.payload.readUInt16BE(6), 0);
    assert.equal(answerSolicitation(arpFrame(mac, '10.0.0.1', '10.0.0.2'), { ...settings, isRouter: true }), null);
  });
});

describe('names', () => {
  const zone: DnsZone = { domain: 'red.example', hosts: [{ name: 'web', addresses: ['10.0.0.5', 'fd00::5'] }] };
  const ask = (
    name: string,
    type: number,
    within = zone,
  ): { readonly code: number; readonly answers: number; readonly bytes: Buffer } => {
    const labels = name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
    const head = Buffer.from([0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    const bytes = answerDns(Buffer.concat([head, ...labels, Buffer.of(0, 0, type, 0, 1)]), within)!;
    return { code: bytes[3]! & 0xf, answers: bytes.readUInt16BE(6), bytes };
  };

  it('resolve both ways, whatever the case', () => {
    assert.ok(
      ask('WEB.red.Example', 1)
        .bytes.subarray(-4)
        .equals(Buffer.of(10, 0, 0, 5)),
    );
    assert.equal(ask('web.red.example', 28).answers, 1);
    assert.deepEqual([ask('web.red.example', 15).code, ask('web.red.example', 15).answers], [0, 0]);
    assert.equal(ask('5.0.0.10.in-addr.arpa', 12).answers, 1);
    assert.equal(ask(`5.${'0.'.repeat(29)}d.f.ip6.arpa`, 12).answers, 1);
  });

  it('lead to all addresses of all that have the name, in one order', () => {
    const one = { name: 'twin', addresses: ['10.0.0.9', '10.0.0.7'] };
    const other = { name: 'Twin', addresses: ['10.0.0.8', '10.0.0.7'] };
    const told = [
      [one, other],
      [other, one],
    ].map((hosts) => {
      const { answers, bytes } = ask('twin.red.example', 1, { ...zone, hosts });
      return [answers, ...[3, 2, 1].map((n) => bytes.at(bytes.length - 16 * (n - 1) - 1))];
    });
    assert.deepEqual(told, [
      [3, 7, 8, 9],
      [3, 7, 8, 9],
    ]);
  });

  it('are unknown within the domain and refused outside', () => {
    assert.equal(ask('db.red.example', 1).code, 3);
    assert.equal(ask('red.example.org', 1).code, 5);
    assert.equal(ask('6.0.0.10.in-addr.arpa', 12).code, 5);
  });

  it('nonsense gets no answer or a refusal, never an exception', () => {
    assert.equal(answerDns(Buffer.alloc(5), zone), null);
    const cut = Buffer.from([0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 65]);
    assert.equal(answerDns(cut, zone)![3]! & 0xf, 4);
  });
});

describe('metadata', () => {
  const vm = { vmId: 'v', name: 'web', hostname: 'web', instanceId: 'i-1', sshKeys: ['ssh-rsa A'], userData: null };
  const port = { macAddress: mac, addresses: ['10.0.0.5'] };
  const page = (path: string) => metadataPage(path, vm, port);

  it('has EC2’s tree', () => {
    assert.equal(page('/latest/meta-data/instance-id').body, 'i-1');
    assert.equal(page('/2009-04-04/meta-data/local-ipv4').body, '10.0.0.5');
    assert.equal(page('/latest/meta-data/public-keys/').body, '0=key-0');
    assert.equal(page('/latest/meta-data/public-keys/0/openssh-key').body, 'ssh-rsa A');
    assert.ok(page('/latest/meta-data/').body.includes('public-keys/'));
  });

  it('has OpenStack’s, and nothing where there is nothing', () => {
    assert.equal((JSON.parse(page('/openstack/latest/meta_data.json').body) as { uuid: string }).uuid, 'v');
    for (const path of [
      '/latest/user-data',
      '/openstack/latest/user_data',
      '/latest/meta-data/constructor',
      '/etc/passwd',
    ]) {
      assert.equal(page(path).status, 404, path);
    }
  });
});

it('ARP is read as it was written', () => {
  const message = readArp(arpFrame(mac, '203.0.113.1', '203.0.113.9'));
  assert.deepEqual(message, { isReply: false, senderMac: mac, senderAddress: '203.0.113.1' });
  assert.equal(readArp(Buffer.alloc(10)), null);
});
