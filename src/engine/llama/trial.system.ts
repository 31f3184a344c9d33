/**
 * Runs in a sandbox that is tried, and tells what it can do from inside. It tries with what the system allows, not with
 * what Node's permission model would: a hole is what native code could use. Answers one message and ends.
 */
import { fstatSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';

/** What the parent says: where the holes would be. */
interface Bait {
  readonly port: number;
  readonly secret: string;
  readonly writable: readonly string[];
  readonly pid: number;
  readonly known: readonly string[];
}

const works = (attempt: Promise<unknown>): Promise<boolean> =>
  attempt.then(
    () => true,
    () => false,
  );

function connects(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: '127.0.0.1', port });
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** The parent looks whether anything arrived: a private folder of the same name is no hole. */
const write = (names: readonly string[]): Promise<unknown> =>
  Promise.all(names.map((name) => works(writeFile(name, 'x'))));

function signals(pid: number): boolean {
  try {
    // In a process namespace of its own the number names nobody, or somebody inside.
    return process.kill(pid, 0) && pid === process.ppid;
  } catch {
    return false;
  }
}

/** Standard error and the channel to the parent are sockets too; any other came from outside unasked. */
const OURS: ReadonlySet<string> = new Set(['2', '3']);

async function sockets(): Promise<number> {
  const names = (await readdir(process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd')).filter(
    (name) => !OURS.has(name),
  );
  return names.filter((name) => isSocket(Number(name))).length;
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    // The one that listed the folder.
    return false;
  }
}

/** As it was handed over, whatever JavaScript shows of it; where the system does not tell, what Node reports. */
async function variables(): Promise<string[]> {
  if (process.platform !== 'linux')
    return Object.keys(
      (process.report.getReport() as { environmentVariables?: object }).environmentVariables ?? { '?': '' },
    );
  const text = await readFile('/proc/self/environ', 'utf8');
  return text.split('\0').flatMap((line) => (line === '' ? [] : [line.slice(0, line.indexOf('='))]));
}

process.once('message', async ({ port, secret, writable, pid, known }: Bait) => {
  const held = await sockets();
  await write(writable);
  process.send?.({
    sockets: held,
    network: await connects(port),
    read: await works(readFile(secret)),
    signal: signals(pid),
    variables: (await variables()).filter((name) => !known.includes(name)),
  });
  process.disconnect();
});
