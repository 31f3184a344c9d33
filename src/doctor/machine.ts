import { bytesText, type Finding, fail, ok, warn } from './finding.ts';

/** What the launcher gives Node; without them promises of README would not hold. */
const FLAGS = ['--disallow-code-generation-from-strings', '--disable-proto=throw', '--openssl-config='];
const NODE = { major: 24, minor: 21 } as const;

/** @param version as `process.version` has it */
export function judgeNode(version: string, flags: readonly string[]): Finding {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number);
  if (major < NODE.major || (major === NODE.major && minor < NODE.minor))
    return fail('node', `${version} is too old`, '`npm ci` installs the right one; start with `npx strongroom`');
  const missing = FLAGS.filter((flag) => !flags.some((given) => given.startsWith(flag)));
  if (missing.length > 0)
    return fail('node', `${version} without ${missing.join(', ')}`, 'start with `npx strongroom`, which sets them');
  return ok('node', `${version}, with its hardening flags`);
}

/** So many connections, pipes and files a busy gateway has open at a time. */
const OPEN_FILES = 4096;

/** @param limits text of /proc/self/limits; null where the system has none */
export function judgeLimits(limits: string | null): Finding {
  if (limits === null) return ok('limits', 'this system does not tell its limits');
  const soft = (name: string) => new RegExp(`^${name} +(\\d+|unlimited)`, 'm').exec(limits)?.[1] ?? 'unlimited';
  const files = soft('Max open files');
  const said = `${files} open files, ${soft('Max processes')} processes`;
  if (files === 'unlimited' || Number(files) >= OPEN_FILES) return ok('limits', said);
  return warn('limits', said, `raise the limit of open files to ${OPEN_FILES} at least (LimitNOFILE=, ulimit -n)`);
}

const LEAST_FREE = { fail: 2 ** 30, warn: 10 * 2 ** 30 } as const;

/** Where the log grows. A database of one's own has its disk elsewhere. */
export function judgeDisk(folder: string, { free, total }: { readonly free: number; readonly total: number }): Finding {
  const said = `${bytesText(free)} of ${bytesText(total)} free for ${folder}`;
  if (free < LEAST_FREE.fail)
    return fail('disk', said, 'make room: with a full disk nothing can be recorded or answered');
  return free < LEAST_FREE.warn ? warn('disk', said, 'make room before it is used up') : ok('disk', said);
}

/** A file that nobody else may read, as it lies there. */
export interface SecretFile {
  readonly what: string;
  readonly file: string;
  /** Null: it is not there. */
  readonly mode: number | null;
  /** A first start makes it. */
  readonly isMade: boolean;
}

export function judgeSecrets(files: readonly SecretFile[]): Finding[] {
  const open = files.filter(({ mode }) => mode !== null && (mode & 0o077) !== 0);
  const missing = files.filter(({ mode, isMade }) => mode === null && !isMade);
  const found = files.filter(({ mode }) => mode !== null).length;
  const findings = [
    ...open.map(({ what, file, mode }) =>
      fail(
        'keys',
        `${what} can be read by others: ${file}, mode ${((mode ?? 0) & 0o777).toString(8)}`,
        `chmod 600 ${file}`,
      ),
    ),
    ...missing.map(({ what, file }) =>
      fail('keys', `${what} is not there: ${file}`, '`strongroom keys init DIR` makes the keys; others are yours'),
    ),
  ];
  if (findings.length > 0) return findings;
  return [ok('keys', found === 0 ? 'none yet; the first start makes them' : `${found} files, for their owner alone`)];
}

/** Who is at an address that we want: `free`, `ours`, or the reason why it can't be had. */
export interface PortState {
  readonly name: 'https' | 'metrics';
  readonly address: string;
  readonly state: 'free' | 'ours' | 'taken' | 'forbidden';
  /** Other machines may read there without a token. */
  readonly isOpen: boolean;
}

export function judgePort({ name, address, state, isOpen }: PortState): Finding {
  const check = `port ${name}`;
  if (state === 'taken') return fail(check, `another program has ${address}`, `end it, or set another ${name} address`);
  if (state === 'forbidden')
    return fail(check, `${address} may not be used by this user`, 'take a port above 1023, or CAP_NET_BIND_SERVICE');
  const said = state === 'ours' ? `${address}, and this gateway is there` : `${address} is free`;
  if (isOpen)
    return warn(
      check,
      said,
      'the metrics ask for no token: set metrics.tokenFile, or let only your Prometheus reach them',
    );
  return ok(check, said);
}

export function judgeSandbox(level: string, network: string, faults: readonly string[]): Finding {
  const said = `${level}, network ${network}${faults.length === 0 ? '' : ` (not ${faults.join('; not ')})`}`;
  if (level !== 'process') return ok('sandbox', said);
  return warn('sandbox', said, 'install bubblewrap: a model file is parsed by native code');
}
