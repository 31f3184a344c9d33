import { randomBytes } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process for all time: process ids are used again, the moment of the start within one boot is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Boot id and start tick on Linux; empty where there is no /proc, and then the id alone must do. */
  readonly startedAt: string;
}

/** Who runs under this process id; undefined when nobody does (a zombie is nobody). */
export function identityOf(pid: number): ProcessIdentity | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  if (process.platform !== 'linux') return signalReaches(pid) ? { pid, startedAt: '' } : undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name is in parentheses and may hold anything: fields are counted from behind the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { pid, startedAt: `${bootId()}:${fields[19]}` };
  } catch {
    return undefined;
  }
}

export const isAlive = (identity: ProcessIdentity): boolean =>
  identityOf(identity.pid)?.startedAt === identity.startedAt;

/**
 * Runs `work` while this process alone holds the lock file `path`. A lock whose holder has died is taken over.
 * It excludes other calls of the same process too.
 *
 * @throws Error when a living process keeps it for longer than `patienceMs`.
 */
export async function withProcessLock<T>(path: string, patienceMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  const mine = JSON.stringify({ ...identityOf(process.pid), token: randomBytes(8).toString('hex') });
  while (!acquire(path, mine)) {
    if (performance.now() > deadline) throw new Error(`${path} is held by process ${holderOf(path)?.pid ?? 'unknown'}`);
    await sleep(20);
  }
  try {
    return await work();
  } finally {
    if (readIfThere(path) === mine) rmSync(path, { force: true });
  }
}

/** The processes that use a thing together, one file each in a folder: the last one to leave turns off the light. */
export class Leases {
  readonly #folder: string;
  readonly #mine = `${process.pid}-${randomBytes(6).toString('hex')}`;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async take(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(this.#folder, this.#mine), JSON.stringify(identityOf(process.pid)), { mode: 0o600 });
  }

  /** Gives the own lease back and says whether nobody living holds another. Synchronous: it also runs at exit. */
  giveBack(): boolean {
    rmSync(join(this.#folder, this.#mine), { force: true });
    let last = true;
    for (const name of namesIn(this.#folder)) {
      const holder = parseIdentity(readIfThere(join(this.#folder, name)));
      if (holder !== undefined && isAlive(holder)) last = false;
      else rmSync(join(this.#folder, name), { force: true });
    }
    return last;
  }
}

function acquire(path: string, mine: string): boolean {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    // link(2) makes the name and its content visible in one step, where open(O_EXCL) shows an empty file first.
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const holder = holderOf(path);
    if (holder !== undefined && !isAlive(holder)) evict(path, holder, draft);
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

function evict(path: string, dead: ProcessIdentity, draft: string): void {
  const aside = `${draft}.aside`;
  try {
    renameSync(path, aside);
    const moved = parseIdentity(readIfThere(aside));
    // Between looking and renaming another process may have evicted the dead one and locked: then give it back.
    if (moved !== undefined && (moved.pid !== dead.pid || moved.startedAt !== dead.startedAt)) linkSync(aside, path);
  } catch {
    // Somebody else was faster; the caller tries again.
  } finally {
    rmSync(aside, { force: true });
  }
}

const holderOf = (path: string): ProcessIdentity | undefined => parseIdentity(readIfThere(path));

function parseIdentity(text: string | undefined): ProcessIdentity | undefined {
  try {
    const { pid, startedAt } = JSON.parse(text ?? '') as ProcessIdentity;
    return { pid, startedAt };
  } catch {
    return undefined;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Whoever deleted the folder took everybody's lease away.
    return [];
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
