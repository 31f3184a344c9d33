import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { openPostgresLog, type PostgresLog } from '#audit/log-source.postgres.ts';
import { fileMemory } from '#audit/memory.files.ts';
import { formatVerifierKey, parseVerifierKey, type Signer, type VerifierKey } from '#audit/note.shared.ts';
import { nodeSigner, sha256 } from '#audit/note-crypto.node.ts';
import type { RememberedHead } from '#audit/tree.ts';
import { type LoadedConfig, loadConfig } from '#config/load.ts';
import { checkpointKeyFile, memoryFile } from '#gateway-audit.ts';
import { configuredUrls } from '#gateway-database.ts';
import { silentLog } from '#kernel/log.ts';
import { startEmbedded } from '#postgres/embedded.ts';

/** The log of the configured database, opened to be read as a whole. */
export interface OpenLog extends AsyncDisposable {
  readonly source: PostgresLog;
  /** What this machine's gateway remembers of it, outside of the database. */
  readonly remembered: RememberedHead | null;
  readonly loaded: LoadedConfig;
}

/** @throws Error where no login is configured that may read the whole log. */
export async function openLog(): Promise<OpenLog> {
  const loaded = loadConfig();
  const { config, base } = loaded;
  await using stack = new AsyncDisposableStack();
  const configured = await configuredUrls(config, base);
  if (configured === null && !existsSync(join(resolve(base, config.dataDir), 'postgres.json'))) {
    throw new Error('there is no log yet: no database is configured, and the data folder holds none');
  }
  const embedded =
    configured === null
      ? stack.use(await startEmbedded({ dataDir: resolve(base, config.dataDir), log: silentLog }))
      : null;
  const url = configured?.verifier ?? embedded?.migrateUrl;
  if (url === undefined) throw new Error('database.verifierUrlFile is needed: a login that may read the whole log');
  const caFile = configured?.caFile;
  const source = stack.use(await openPostgresLog(url, caFile === undefined ? {} : { caFile }));
  const remembered = await fileMemory(memoryFile(config, base)).load();
  const kept = stack.move();
  return { source, remembered, loaded, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** A verifier key in note form: the text itself, or a file as `audit key` writes it, whose first key counts. */
export async function keyOf(given: string): Promise<VerifierKey> {
  const text = existsSync(given) ? await readFile(given, 'utf8') : given;
  return parseVerifierKey(sha256, text.trim().split(/\s/, 1)[0] ?? '');
}

/** The key that this machine's gateway signs with, or null where it lies elsewhere. */
export async function localSigner({ config, base }: LoadedConfig): Promise<Signer | null> {
  const file = checkpointKeyFile(config, base);
  if (config.keys.checkpointFile === undefined && !existsSync(file)) return null;
  return nodeSigner(config.audit.origin, await readCheckpointKey(file));
}

export interface FoundKey {
  readonly key: VerifierKey | null;
  readonly from: 'given' | 'file' | 'database' | 'none';
  /** In note form; null without a key. */
  readonly text: string | null;
}

/** The key given, else this machine's own, else the one in the database, which is no proof against who writes there. */
export async function findKey(
  given: string | undefined,
  loaded: LoadedConfig | null,
  source: PostgresLog | null,
): Promise<FoundKey> {
  const found = async (key: VerifierKey, from: FoundKey['from']) => ({
    key,
    from,
    text: await formatVerifierKey(sha256, key),
  });
  if (given !== undefined) return found(await keyOf(given), 'given');
  const local = loaded === null ? null : await localSigner(loaded);
  if (local !== null) return found(local, 'file');
  const registered = (await source?.registeredKeys())?.at(-1);
  if (registered) return found({ name: registered.origin, publicKey: registered.publicKey }, 'database');
  return { key: null, from: 'none', text: null };
}
