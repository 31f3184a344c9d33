/**
 * What stands between an engine's child and the machine. Named by what was tried at start, not by what is installed:
 *
 * - `full`: bubblewrap. No network, a file system of its own that holds the program and the model's open file and nothing
 *   else, read-only, its own /tmp and process ids.
 * - `uid`: a user id of its own without capabilities; no network where the kernel lets us take it away.
 * - `process`: what Node and the system give every child here: Node's permission model, resource limits, an environment
 *   without secrets, no inherited descriptors.
 */
export type SandboxLevel = 'full' | 'uid' | 'process';

/** `required`: no start below `uid`. `preferred`: the best there is. `off`: `process`, untried. */
export type SandboxPolicy = 'required' | 'preferred' | 'off';

/** What a trial child could do. Each is a hole but where its level says otherwise. */
export interface Reach {
  /** Connect to a listener of ours on the loopback address. */
  readonly network: boolean;
  /** Read a file of ours, mode 0600. */
  readonly read: boolean;
  /** Write into the program's folder or the data folder. */
  readonly write: boolean;
  /** Signal the gateway. */
  readonly signal: boolean;
  /** Sockets beside the channel to the gateway. */
  readonly sockets: number;
  /** Names of variables that it was not meant to get. */
  readonly variables: readonly string[];
}

/** One way to start a child, and what came of trying it. */
export interface Trial {
  readonly level: SandboxLevel;
  /** Null when the child did not even start. */
  readonly reach: Reach | null;
  /** Why it did not, for the operator. */
  readonly fault: string | null;
}

/** What was decided, in the operator's words. */
export interface SandboxChoice {
  readonly level: SandboxLevel;
  /** Whether children are without network: always at `full`, at `uid` where it worked. */
  readonly network: 'none' | 'open';
  /** What was tried in vain, and why. */
  readonly faults: readonly string[];
}

/** Below its name nothing may leak: what a level promises and the trial broke, or null. */
export function brokenPromise({ level, reach, fault }: Trial): string | null {
  if (reach === null) return fault ?? 'did not start';
  const leaks = [
    ...(reach.sockets > 0 ? ['holds sockets of the gateway'] : []),
    ...(reach.variables.length > 0 ? [`sees ${reach.variables.join(', ')}`] : []),
  ];
  if (level === 'full' && reach.network) leaks.push('reaches the network');
  if (level !== 'process') {
    if (reach.read) leaks.push("reads the gateway's files");
    if (reach.write) leaks.push('writes');
    if (reach.signal) leaks.push('signals the gateway');
  }
  return leaks.length === 0 ? null : leaks.join(', ');
}

/** The first trial, best first, that keeps what its level promises. @throws Error when `required` and none does */
export function chooseSandbox(policy: SandboxPolicy, trials: readonly Trial[]): SandboxChoice {
  if (policy === 'off') return { level: 'process', network: 'open', faults: ['engine.sandbox is off'] };
  const faults: string[] = [];
  for (const trial of trials) {
    const broken = brokenPromise(trial);
    if (broken === null && (policy !== 'required' || trial.level !== 'process')) {
      return { level: trial.level, network: trial.reach?.network === false ? 'none' : 'open', faults };
    }
    if (broken !== null) faults.push(`${trial.level}: ${broken}`);
  }
  throw new Error(
    `engine.sandbox is '${policy}', and no sandbox works here (${faults.join('; ')}): install bubblewrap, or set engine.sandbox to 'preferred'`,
  );
}

/** Where the things are that a child needs to see. All absolute, links resolved but where two are given. */
export interface SandboxPlaces {
  /** The node that runs the child. */
  readonly node: string;
  /** Folder of package.json and src. */
  readonly program: string;
  /** Where node_modules really lies. */
  readonly packages: string;
  /** Folders of libraries outside /usr, from LD_LIBRARY_PATH. */
  readonly libraries: readonly string[];
  /** Device files of the GPUs, and the groups by which they are opened. */
  readonly devices: readonly string[];
  readonly groups: readonly number[];
  /** Where compiled GPU kernels are kept between loads; of a child, the folder that is its own. */
  readonly kernels: string | null;
  /** Under which names the child finds the open files of its model, in the order in which they are handed over. */
  readonly files: readonly string[];
}

/**
 * One line of shell in front: no core dumps with prompts in them, when memory runs out this goes first, and what it
 * takes for itself has an end (`RLIMIT_DATA`, in KiB): then an absurd context is an error in the child and not the
 * kernel's killer. Not `RLIMIT_AS`: a process reserves addresses by the hundred gigabytes where it uses a GPU.
 */
const limits = (memory: number | undefined): string =>
  [
    ...['ulimit -c 0', 'ulimit -n 1024', 'echo 1000 2>/dev/null >/proc/self/oom_score_adj'],
    ...(memory === undefined ? [] : [`ulimit -d ${Math.ceil(memory / 1024)} 2>/dev/null`]),
    'exec "$@"',
  ].join('; ');

/** The command line that runs `command` at a level. `uid` is the user id for that level; `memory` its bound, in bytes. */
export function commandAt(
  level: SandboxLevel,
  network: 'none' | 'open',
  places: SandboxPlaces,
  uid: number,
  command: readonly string[],
  memory?: number,
): string[] {
  const limited = ['/bin/sh', '-c', limits(memory), 'engine'];
  if (level === 'full') return [...limited, ...bubblewrap(places), ...command];
  if (level === 'uid') return [...limited, ...ownUser(network, uid, places.groups), ...command];
  return [...limited, ...command];
}

const ownUser = (network: 'none' | 'open', uid: number, groups: readonly number[]): string[] => [
  ...(network === 'none' ? ['unshare', '--net', '--'] : []),
  ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--no-new-privs'],
  groups.length === 0 ? '--clear-groups' : `--groups=${groups.join()}`,
  ...['--inh-caps=-all', '--bounding-set=-all', '--'],
];

/** Where a driver for Vulkan says that it is there; some say so below /usr. */
const DRIVER_LISTS = ['/etc/vulkan', '/etc/glvnd'];

/** The model's file is not among the binds: the child gets it as an open descriptor. */
function bubblewrap({ node, program, packages, libraries, devices, kernels }: SandboxPlaces): string[] {
  const shown = (option: string, path: string) => [option, path, path];
  return [
    'bwrap',
    ...['--unshare-all', '--unshare-user', '--disable-userns', '--uid', '65534', '--gid', '65534'],
    ...['--die-with-parent', '--new-session', '--hostname', 'engine'],
    ...['/usr', '/lib', '/lib64', '/etc/ld.so.cache', '/etc/alternatives', ...DRIVER_LISTS].flatMap((path) =>
      shown('--ro-bind-try', path),
    ),
    ...['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
    ...(devices.length === 0 ? [] : shown('--ro-bind-try', '/sys')),
    ...devices.flatMap((path) => shown('--dev-bind', path)),
    ...libraries.flatMap((path) => shown('--ro-bind-try', path)),
    ...(kernels === null ? [] : shown('--bind', kernels)),
    ...shown('--ro-bind', node),
    ...shown('--ro-bind', `${program}/package.json`),
    ...shown('--ro-bind', `${program}/src`),
    ...shown('--ro-bind', packages),
    ...(packages === `${program}/node_modules` ? [] : ['--symlink', packages, `${program}/node_modules`]),
    ...['--remount-ro', '/', '--chdir', '/', '--'],
  ];
}

/** Node's own limits on what JavaScript may do; native code is held by the level, not by these. */
export const permissionFlags = ({ program, packages, libraries, kernels, files }: SandboxPlaces): string[] => [
  '--permission',
  // The engine is an addon, and tries its binary out in a process of its own before it loads it.
  '--allow-addons',
  '--allow-child-process',
  '--disable-warning=SecurityWarning',
  ...[`${program}/src`, `${program}/package.json`, `${program}/node_modules`, packages, ...libraries]
    .concat(['/usr', '/lib', '/lib64', '/sys', '/proc/cpuinfo', '/proc/meminfo', ...files])
    .map((path) => `--allow-fs-read=${path}`),
  ...(kernels === null ? [] : [`--allow-fs-read=${kernels}`, `--allow-fs-write=${kernels}`]),
];

/** The first descriptor under which a child finds a file of its model, and how many there may be. */
const FIRST_DESCRIPTOR = 4;
const MOST_FILES = 3;
/** The paths that name the same open files; elsewhere than on Linux opening them makes another handle of the same one. */
export const filePaths = (platform: string): string[] =>
  Array.from(
    { length: MOST_FILES },
    (_, at) => `${platform === 'linux' ? '/proc/self' : '/dev'}/fd/${FIRST_DESCRIPTOR + at}`,
  );
