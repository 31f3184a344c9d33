import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { OVERLAP_MS, type TokenKey, type TokenKeys } from './token.ts';

const Coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const StoredKey = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: Coordinate,
  y: Coordinate,
  d: Coordinate.optional(),
  kid: Coordinate,
  alg: z.literal('ES256'),
  use: z.literal('sig'),
  made_at: z.iso.datetime(),
  retired_at: z.iso.datetime().optional(),
});

const NAME = /^token-[A-Za-z0-9_-]{43}\.json$/;
const fileOf = (folder: string, kid: string): string => join(folder, `token-${kid}.json`);
/** The folder is looked at again after so long: rotation needs no restart. */
const LOOK_MS = 2000;

/** Newest first. @throws Error for a file that others may read, or that is no such key */
export async function readTokenKeys(folder: string): Promise<TokenKey[]> {
  const names = (await readdir(folder)).filter((name) => NAME.test(name));
  const keys = await Promise.all(names.map((name) => readKey(join(folder, name))));
  return keys.toSorted((a, b) => b.madeAt - a.madeAt);
}

async function readKey(file: string): Promise<TokenKey> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) throw new Error(`${file}: others may read this key; chmod 600`);
  const { success, data } = StoredKey.safeParse(parse(await readFile(file, 'utf8')));
  if (!success) throw new Error(`${file}: not a key of ours`);
  const { d, made_at, retired_at, ...jwk } = data;
  return {
    jwk,
    d: d ?? null,
    madeAt: Date.parse(made_at),
    retiredAt: retired_at === undefined ? null : Date.parse(retired_at),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Makes the first key where there is none. Returns its file, or null. */
export async function makeFirstTokenKey(folder: string, now: number): Promise<string | null> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return (await readTokenKeys(folder)).length > 0 ? null : makeTokenKey(folder, now);
}

/**
 * A new key, and the old ones lose their private half; gateways that run sign with what they hold for the moment until
 * the new one is published everywhere. What nobody needs to check any more is removed. Returns the new file.
 */
export async function rotateTokenKeys(folder: string, now: number): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const old = await readTokenKeys(folder);
  const file = await makeTokenKey(folder, now);
  for (const key of old) {
    if (key.retiredAt === null) await writeKey(folder, { ...key, d: null, retiredAt: now });
    else if (key.retiredAt + OVERLAP_MS <= now) await rm(fileOf(folder, key.jwk.kid));
  }
  return file;
}

function makeTokenKey(folder: string, now: number): Promise<string> {
  const { x, y, d } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  if (x === undefined || y === undefined || d === undefined) throw new Error('no key could be made');
  // RFC 7638: the required members, in this order, without blanks.
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'P-256', kty: 'EC', x, y }))
    .digest('base64url');
  const jwk = { kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' } as const;
  return writeKey(folder, { jwk, d, madeAt: now, retiredAt: null });
}

/** Whole or not at all: readers may look at any moment. */
async function writeKey(folder: string, { jwk, d, madeAt, retiredAt }: TokenKey): Promise<string> {
  const file = fileOf(folder, jwk.kid);
  const draft = `${file}.${randomUUID()}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    const text = JSON.stringify({
      ...jwk,
      ...(d === null ? {} : { d }),
      made_at: new Date(madeAt).toISOString(),
      ...(retiredAt === null ? {} : { retired_at: new Date(retiredAt).toISOString() }),
    });
    await handle.writeFile(`${text}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  return file;
}

/**
 * The keys of a folder, read again when a file of it has changed. By looking at use, at most every two seconds:
 * nothing runs while nobody asks. What is broken is logged once and the old keys stay.
 *
 * @throws Error when there is no usable key at the start
 */
export async function openTokenKeys(folder: string, clock: Clock, log: Log): Promise<TokenKeys> {
  let seen = await signatureOf(folder);
  let keys: readonly TokenKey[] = await readTokenKeys(folder);
  if (!keys.some(({ d }) => d !== null))
    throw new Error(`${folder}: no key that signs tokens; \`strongroom keys rotate\``);
  let lookedAt = clock.monotonic();
  let looking: Promise<void> | null = null;
  const look = async (): Promise<void> => {
    try {
      const signature = await signatureOf(folder);
      if (signature === seen) return;
      seen = signature;
      keys = await readTokenKeys(folder);
      log.info('keys of tokens read again', { file: folder, count: keys.length });
    } catch (error) {
      log.error('the keys of tokens are not usable; the old ones stay', { file: folder, error });
    }
  };
  return {
    current: async () => {
      if (looking === null && clock.monotonic() - lookedAt >= LOOK_MS) {
        lookedAt = clock.monotonic();
        looking = look().finally(() => {
          looking = null;
        });
      }
      await looking;
      return keys;
    },
  };
}

async function signatureOf(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => NAME.test(name)).sort();
  const states = await Promise.all(names.map((name) => stat(join(folder, name))));
  return names.map((name, at) => `${name} ${states[at]?.mtimeMs} ${states[at]?.ino}`).join('\n');
}
