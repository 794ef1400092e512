/** A datagram that comes from port 0, which no socket sends: it is written as a raw packet, by perl (part of every Debian). */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const program = `use Socket;
  my ($from, $to, $port, $hex) = @ARGV;
  my $content = pack("H*", $hex);
  my $udp = pack("nnnn", 0, $port, 8 + length($content), 0) . $content;
  my $ip = pack("CCnnnCCna4a4", 0x45, 0, 20 + length($udp), 1, 0, 64, 17, 0, inet_aton($from), inet_aton($to));
  socket(my $raw, PF_INET, SOCK_RAW, 255) or die $!;
  send($raw, $ip . $udp, 0, sockaddr_in(0, inet_aton($to))) or die $!;`;

export async function sendFromPortZero(
  content: Buffer,
  from: string,
  to: { readonly address: string; readonly port: number },
): Promise<void> {
  await promisify(execFile)('perl', ['-e', program, from, to.address, String(to.port), content.toString('hex')]);
}
