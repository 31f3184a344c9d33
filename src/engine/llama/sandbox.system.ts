import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Log } from '#kernel/log.ts';
import { gpuDevices, groupsFor, kernelCaches, linkerFolders, renderNodes } from './gpu-files.ts';
import {
  brokenPromise,
  chooseSandbox,
  commandAt,
  filePaths,
  permissionFlags,
  type Reach,
  type SandboxChoice,
  type SandboxLevel,
  type SandboxPlaces,
  type SandboxPolicy,
  type Trial,
} from './sandbox.ts';

/** How children are started here. */
export interface Sandbox extends SandboxChoice {
  /** The whole command line for a script of ours. `owner` names what runs in it: each gets a user id of its own. */
  /** `memory`: bytes that it may take for itself. */
  command(script: string, owner: string, memory?: number): readonly string[];
  /** Under which name the child finds the open file that is its fifth descriptor. */
  readonly files: readonly string[];
  /** What the child may know of our environment: where libraries and processors are, and no secret. */
  environment(owner: string): Readonly<Record<string, string>>;
}

const PROGRAM = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const TRIAL = fileURLToPath(new URL('./trial.system.ts', import.meta.url));
const TRIAL_MS = 20_000;
/** From here on user ids are ours: systemd hands out 61184 to 65519 to services that own no file, as ours do not. */
const FIRST_UID = 64_100;
const UIDS = 1000;
const AS_ROOT = [
  ['uid', 'none'],
  ['uid', 'open'],
] as const;
const FLAGS = ['--disallow-code-generation-from-strings', '--disable-proto=throw'];
/** Collections are asked for (`spent-memory.ts`); between two of them there is little that is young. */
const MEMORY_FLAGS = ['--expose-gc', '--max-semi-space-size=4'];
const PASSED = [
  ...['PATH', 'LANG', 'LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES'],
  ...['GGML_VK_VISIBLE_DEVICES', 'VK_DRIVER_FILES', 'VK_ICD_FILENAMES'],
];

/**
 * Tries the levels, best first, each with a child that tests its own walls, and keeps the first that holds.
 *
 * @param folder an existing folder of the gateway's own; a canary is written there
 * @throws Error when `required` and nothing holds
 */
export async function openSandbox(
  policy: SandboxPolicy,
  environment: Readonly<Record<string, string | undefined>>,
  folder: string,
  log: Log,
): Promise<Sandbox> {
  const places = findPlaces(environment);
  const passed = environmentFor(environment);
  const trials = policy === 'off' ? [] : await tryLevels(places, passed, folder);
  const choice = chooseSandbox(policy, trials);
  log.info('engine sandbox', { state: `${choice.level}, network ${choice.network}` });
  return sandboxAt(choice, places, passed);
}

/** A sandbox of a level that is already known to hold. */
export function sandboxAt(
  choice: SandboxChoice,
  places: SandboxPlaces,
  environment: Readonly<Record<string, string>>,
): Sandbox {
  const placesOf = (owner: string): SandboxPlaces => ({ ...places, kernels: kernelsOf(owner, places, choice.level) });
  return {
    ...choice,
    files: places.files,
    command: (script, owner, memory) => {
      const own = placesOf(owner);
      const command = [own.node, ...FLAGS, ...MEMORY_FLAGS, ...permissionFlags(own), script];
      return commandAt(choice.level, choice.network, own, uidOf(owner), command, memory);
    },
    environment: (owner) => {
      const { kernels } = placesOf(owner);
      return kernels === null ? environment : { ...environment, ...kernelCaches(kernels) };
    },
  };
}

/**
 * A folder for each: whoever breaks out of one model's file writes no kernels that another one's child would run. Null where
 * there is none to be had; then kernels are compiled at each load.
 */
function kernelsOf(owner: string, { kernels }: SandboxPlaces, level: SandboxLevel): string | null {
  if (kernels === null) return null;
  // What was written at another level belongs to another user.
  const folder = join(kernels, `${level}-${uidOf(owner)}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (level === 'uid') chownSync(folder, uidOf(owner), uidOf(owner));
    return folder;
  } catch {
    return null;
  }
}

/** The same user id for the same name, so that two models do not share one but by chance in a thousand. */
function uidOf(owner: string): number {
  let sum = 0;
  for (const unit of Buffer.from(owner)) sum = (sum * 31 + unit) % UIDS;
  return FIRST_UID + sum;
}

export function findPlaces(environment: Readonly<Record<string, string | undefined>>): SandboxPlaces {
  const graphics = namesIn('/dev/dri');
  const nodes = renderNodes(graphics).map((name) => join('/dev/dri', name));
  const devices = gpuDevices(namesIn('/dev'), graphics).map((name) => join('/dev', name));
  const kernels = environment['CUDA_CACHE_PATH'];
  const named = (environment['LD_LIBRARY_PATH'] ?? '').split(':');
  // Nothing but a GPU's libraries lies elsewhere that a child would need.
  const linked = devices.length === 0 ? [] : linkerFolders(linkerTexts());
  return {
    node: realpathSync(process.execPath),
    program: PROGRAM,
    packages: realpathSync(join(PROGRAM, 'node_modules')),
    libraries: [...named, ...linked].filter((path) => path !== '' && existsSync(path)),
    devices,
    groups: groupsFor(nodes.map((path) => statSync(path))),
    kernels: kernels !== undefined && existsSync(kernels) ? resolve(kernels) : null,
    files: filePaths(process.platform),
  };
}

function linkerTexts(): string[] {
  const folder = '/etc/ld.so.conf.d';
  const files = ['/etc/ld.so.conf', ...namesIn(folder).map((name) => join(folder, name))];
  return files.filter((file) => file.endsWith('.conf') && existsSync(file)).map((file) => readFileSync(file, 'utf8'));
}

/** Whether a GPU's device files are here; whether it works is another question. */
export const hasGpuFiles = (): boolean => gpuDevices(namesIn('/dev'), namesIn('/dev/dri')).length > 0;

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

export function environmentFor(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const passed: Record<string, string> = {
    // One arena: memory that a model used returns to the system (engine.md, section 3.3).
    MALLOC_ARENA_MAX: '1',
    // So does, whatever was freed before, what is large: room for a vocabulary, again and again.
    MALLOC_MMAP_THRESHOLD_: '131072',
    // Its library looks for one; there is none.
    HOME: '/nonexistent',
    NODE_LLAMA_CPP_SKIP_DOWNLOAD: 'true',
  };
  for (const name of PASSED) {
    const value = environment[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}

/** Best first; what lies below one that holds is tried only when `all` are asked for. */
export async function tryLevels(
  places: SandboxPlaces,
  environment: Readonly<Record<string, string>>,
  folder: string,
  extent: 'enough' | 'all' = 'enough',
): Promise<Trial[]> {
  const canary = await mkdtemp(join(folder, 'trial-'));
  const listener = createServer((socket) => socket.destroy());
  try {
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const secret = join(canary, 'secret');
    await writeFile(secret, 'canary', { mode: 0o600 });
    const writable = [canary, places.program].map((at) => join(at, `.trial-${process.pid}`));
    const bait = { port, secret, writable, pid: process.pid };
    const ways: readonly (readonly [SandboxLevel, 'none' | 'open'])[] = [
      ['full', 'none'],
      ...(process.getuid?.() === 0 ? AS_ROOT : []),
      ['process', 'open'],
    ];
    const trials: Trial[] = [];
    for (const [level, network] of ways) {
      const command = commandAt(level, network, places, uidOf('trial'), [places.node, ...FLAGS, TRIAL]);
      const trial = isThere(command) ? await tryOne(level, command, environment, bait) : missing(level);
      trials.push(trial);
      if (extent === 'enough' && brokenPromise(trial) === null) break;
    }
    return trials;
  } finally {
    listener.close();
    await rm(canary, { recursive: true, force: true });
  }
}

const missing = (level: SandboxLevel): Trial => ({ level, reach: null, fault: 'the tool for it is not installed' });

/** The first word behind the shell's line names the tool. */
function isThere(command: readonly string[]): boolean {
  const tool = command[4] ?? '';
  if (tool.startsWith('/')) return true;
  return ['/usr/bin', '/bin', '/usr/local/bin'].some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

interface Bait {
  readonly port: number;
  readonly secret: string;
  readonly writable: readonly string[];
  readonly pid: number;
}

async function tryOne(
  level: SandboxLevel,
  [file = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string>>,
  bait: Bait,
): Promise<Trial> {
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: { ...environment } });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-500);
  });
  const { promise, resolve: settle } = Promise.withResolvers<Trial>();
  const timer = setTimeout(() => settle({ level, reach: null, fault: 'gave no answer' }), TRIAL_MS);
  child.once('message', (reach) => settle({ level, reach: readReach(reach), fault: null }));
  child.once('error', (error) => settle({ level, reach: null, fault: error.message }));
  child.once('close', () => settle({ level, reach: null, fault: firstLine(words) }));
  // What the shell and the kernel add of themselves is no leak.
  const known = [...Object.keys(environment), 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'PWD', '_'];
  child.send({ ...bait, known: [...known, 'OLDPWD', 'SHLVL', '__CF_USER_TEXT_ENCODING'] }, () => {});
  const trial = await promise;
  clearTimeout(timer);
  child.kill('SIGKILL');
  const written = await Promise.all(
    bait.writable.map((name) =>
      rm(name).then(
        () => true,
        () => false,
      ),
    ),
  );
  return trial.reach === null ? trial : { ...trial, reach: { ...trial.reach, write: written.includes(true) } };
}

const firstLine = (text: string): string => text.split('\n').find((line) => line.trim() !== '') ?? 'ended at once';

/** The word of a child is not believed further than its shape: anything else counts as everything being open. */
function readReach(value: unknown): Reach {
  const said = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof Reach, unknown>>;
  return {
    network: said.network !== false,
    read: said.read !== false,
    // Seen from outside, by what it left.
    write: false,
    signal: said.signal !== false,
    sockets: typeof said.sockets === 'number' ? said.sockets : 1,
    variables: Array.isArray(said.variables) ? said.variables.map(String) : ['?'],
  };
}
