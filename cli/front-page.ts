/** What `kvasir` says when it is asked nothing: for a person who sees it for the first time. */

interface Section {
  readonly title: string;
  readonly lines: readonly (readonly [command: string, meaning: string])[];
}

/** One line for each resource: also the head of `kvasir <resource> --help`. */
export const groupSummaries: Readonly<Record<string, string>> = {
  vm: 'virtual machines: create, start, stop, migrate, console, …',
  volume: 'virtual disks: create, resize, …',
  image: 'disks that VMs are made from: upload, import, …',
  network: 'what the NICs of VMs are connected to',
  switch: 'distributed switches over hosts',
  uplink: 'how hosts are connected to switches',
  port: 'NICs of VMs with their addresses and policy',
  'security-group': 'what may reach VMs and what they may reach',
  'qos-policy': 'limits of rate for ports',
  mirror: 'copies of traffic for analysis',
  router: 'ways between networks and out',
  'floating-address': 'outside addresses that lead to VMs',
  project: 'who owns what: members and quotas (a virtual data centre)',
  organization: 'groups of projects',
  user: 'people and programs that log in',
  'api-token': 'credentials for programs',
  session: 'this login: who am I',
  host: 'servers that run VMs; join-token lets one more join',
  cluster: 'groups of hosts, and how VMs are placed on them',
  pool: 'places for disks, on one host or shared by all',
  ha: 'high availability of a cluster: what it would do, what it did',
  'host-power': "servers' power: state, on, off",
  'fence-device': 'what can switch a server off for sure: BMCs and the like',
  'lease-settings': 'how hosts prove that they live',
  task: 'long work: list, watch, cancel',
  event: 'what happened; list --follow shows it as it happens',
  audit: 'who asked for which change',
};

const group = (...names: readonly string[]) => names.map((name) => [name, groupSummaries[name] ?? ''] as const);

const sections: readonly Section[] = [
  {
    title: 'Try it on this machine',
    lines: [
      ['demo', 'start a manager, three hosts and two VMs; demo --stop ends them'],
      ['lab', 'the hosts of the demo: up, down, status, power-off, cut, heal, …'],
      ['test', 'run every check and test'],
    ],
  },
  {
    title: 'Log in',
    lines: [
      ['login', 'write the address and a token into your profile'],
      ['logout', 'end the session and forget the token'],
      ['profile', 'which login commands use: list, use'],
      ...group('session', 'api-token'),
    ],
  },
  { title: 'Machines', lines: group('vm', 'volume', 'image', 'network') },
  {
    title: 'Networks of the distributed switch',
    lines: group('port', 'security-group', 'router', 'floating-address', 'qos-policy', 'mirror', 'switch', 'uplink'),
  },
  { title: 'See what goes on', lines: group('task', 'event', 'audit') },
  {
    title: 'Operate the cloud',
    lines: group(
      'host',
      'host-power',
      'cluster',
      'ha',
      'fence-device',
      'lease-settings',
      'pool',
      'user',
      'project',
      'organization',
    ),
  },
  {
    title: 'Programs of a server',
    lines: [
      ['manager serve', 'run the control plane'],
      ['agent join', 'make this server a host; agent run is its process'],
    ],
  },
  { title: 'Your shell', lines: [['completion bash', 'tab completion: source <(kvasir completion bash)']] },
];

const examples: readonly string[] = [
  'kvasir vm create web --image tiny --cpus 1 --memory 128MiB --network default --wait',
  'kvasir vm list',
  'kvasir vm console web                       (Ctrl-] leaves)',
  'kvasir vm migrate web h2 --wait',
  'kvasir vm show web -o json | jq .hostName',
  'kvasir event list --follow',
];

export function frontPage(): string {
  const width = Math.max(...sections.flatMap((section) => section.lines.map(([command]) => command.length)));
  const body = sections.map(
    ({ title, lines }) =>
      `${title}\n${lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}\n`).join('')}`,
  );
  return [
    'Kvasir turns Linux servers into a private cloud.\n',
    'Usage: kvasir <command> …        kvasir <command> --help tells more\n',
    ...body,
    `Examples\n${examples.map((line) => `  ${line}\n`).join('')}`,
    [
      'Everywhere\n',
      '  -o table|json|yaml   how results are printed     --project NAME   project to work in\n',
      '  --wait               until the task has ended    --profile NAME   another login\n',
      '  --version            of this program             help COMMAND     the same as COMMAND --help\n',
      '  Exit codes: 0 done, 1 refused or failed, 2 wrong command line.\n',
    ].join(''),
  ].join('\n');
}
