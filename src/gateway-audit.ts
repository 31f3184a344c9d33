import { join, resolve } from 'node:path';
import type { Item, Position, Verdict } from '#admission/admission.ts';
import { CheckpointSigner } from '#audit/checkpoint.service.ts';
import { makeCheckpointKey, readCheckpointKeys } from '#audit/checkpoint-key.files.ts';
import { CheckpointFollower } from '#audit/follower.service.ts';
import { signManifest } from '#audit/manifest.ts';
import { fileMemory } from '#audit/memory.files.ts';
import { formatVerifierKey } from '#audit/note.shared.ts';
import { nodeCrypto, nodeSigner } from '#audit/note-crypto.node.ts';
import { postgresReceipts } from '#audit/receipt.postgres.ts';
import type { ReceiptDeps } from '#audit/receipt.routes.ts';
import { droppedUntil } from '#audit/retention.postgres.ts';
import { registeredKeys, registerSigningKey } from '#audit/signing-key.postgres.ts';
import { SigningKeys } from '#audit/signing-keys.service.ts';
import { postgresLeadership, postgresTree } from '#audit/tree.postgres.ts';
import type { LogFault, TreeReader, TreeReadings } from '#audit/tree.ts';
import { TreeGuard } from '#audit/tree-guard.service.ts';
import type { Config } from '#config/schema.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import type { GuardedPool } from '#postgres/pool.ts';
import type { OpenDatabase } from './gateway-database.ts';

export interface AuditTreeDeps {
  readonly config: Config;
  readonly base: string;
  readonly database: Pick<OpenDatabase, 'urls' | 'embedded'>;
  readonly pool: GuardedPool;
  readonly instance: string;
  readonly log: Log;
}

/** The log as a tree, for this gateway: what it remembers, follows, signs and promises. */
export interface AuditTree extends AsyncDisposable {
  readonly reader: TreeReader;
  readonly guard: TreeGuard;
  /** What receipts are made of. */
  readonly receipts: Pick<ReceiptDeps, 'find' | 'covering' | 'readNode' | 'rotations' | 'droppedUntil'>;
  readonly origin: string;
  /** C2SP signed-note: what whoever verifies must be given by another way than ours. It may change while we run. */
  readonly verifierKey: () => Promise<string>;
  /** `manifest.sig` of an export. */
  readonly signManifest: (bytes: Uint8Array) => Promise<string>;
  /** For the metrics; asks nobody. */
  readonly readings: () => TreeReadings;
  readonly promise: (position: Position) => Promise<string | null>;
  readonly positionOf: (subject: string, requestId: string, kind: 'intent' | 'outcome') => Promise<Position | null>;
  /** Lets nothing begin on a log that is not the one that was seen before; what has begun is still put to an end. */
  readonly unlessFault: (submit: (item: Item) => Promise<Verdict>) => (item: Item) => Promise<Verdict>;
  /** Not null once the log was found to be another one than before. */
  fault(): LogFault | null;
}

const SIGNER_TIMEOUTS = { statementTimeoutMs: 5000, queryTimeoutMs: 5500, connectTimeoutMs: 2000 };

/**
 * Opens the tree; following and signing go on until it is disposed of.
 *
 * @throws Error when the key is not the log's, LogFault when the database holds another log than the one remembered.
 */
export async function openAuditTree(deps: AuditTreeDeps): Promise<AuditTree> {
  const { config, pool, instance, log } = deps;
  const { origin } = config.audit;
  const keys = await openSigningKeys(deps);
  const reader = postgresTree(pool);
  const { sha256 } = nodeCrypto;
  const memory = fileMemory(memoryFile(config, deps.base));
  const guard = await TreeGuard.open({ memory, reader, origin, sha256 });
  const advance = guard.advance.bind(guard);
  const { urls } = deps.database;
  const leadership = postgresLeadership(
    urls.signer,
    {
      applicationName: 'strongroom-signer',
      ...SIGNER_TIMEOUTS,
      ...(urls.caFile === undefined ? {} : { caFile: urls.caFile }),
    },
    instance,
  );
  const signing = new CheckpointSigner({
    ...leadership,
    lead: async () => {
      const led = await leadership.lead();
      // A rotation fences off who leads: whoever begins to lead looks which key is in force by then.
      if (led !== null) await keys.refresh();
      return led;
    },
    reader,
    advance,
    sign: (head) => keys.sign(head),
    onFault: (fault) => guard.condemn(fault),
    sha256,
    log,
  });
  const follower = new CheckpointFollower({
    latest: reader.latest,
    open: (note) => keys.openCheckpoint(note),
    advance,
    confirm: () => guard.confirm(),
    onFault: (fault) => guard.condemn(fault),
    log,
  });
  const find = postgresReceipts(pool);
  signing.start();
  follower.start();
  return {
    reader,
    guard,
    receipts: {
      find,
      covering: follower.covering.bind(follower),
      readNode: reader.readNode,
      rotations: () => keys.rotations(),
      droppedUntil: () => droppedUntil(pool),
    },
    origin,
    verifierKey: () => formatVerifierKey(sha256, keys.signer),
    signManifest: (bytes) => signManifest(nodeCrypto, bytes, keys.signer),
    readings: () => ({
      size: guard.known.size,
      leads: signing.leads,
      fault: guard.fault !== null,
      checkpointAgeSeconds: (performance.now() - follower.changedAt) / 1000,
    }),
    promise: ({ seq, leaf, at }) =>
      keys.promise({ origin, seq, leaf: Buffer.from(leaf, 'hex'), at }).catch((error) => {
        log.error('a promise could not be signed', { error });
        return null;
      }),
    positionOf: async (subject, requestId, kind) => {
      const records = await find(subject, requestId).catch(() => []);
      const found = records.findLast((one) => one.kind === kind);
      return found === undefined ? null : { seq: found.seq, at: JSON.parse(found.record).at, leaf: found.leaf };
    },
    unlessFault: (submit) => (item) =>
      guard.fault !== null && (item.op === 'admit' || item.op === 'change')
        ? Promise.reject(new Problem('audit_unavailable', { retryAfter: 60 }, guard.fault))
        : submit(item),
    fault: () => guard.fault,
    [Symbol.asyncDispose]: async () => {
      follower[Symbol.dispose]();
      await signing[Symbol.asyncDispose]();
    },
  };
}

/** What this gateway remembers of the log: a file in the data folder. */
export const memoryFile = ({ dataDir }: Config, base: string): string =>
  join(resolve(base, dataDir), 'audit-memory.json');

/** Where the key that signs lies, with those beside it. */
export const checkpointKeyFile = ({ keys, dataDir }: Config, base: string): string =>
  keys.checkpointFile === undefined
    ? join(resolve(base, dataDir), 'keys', 'checkpoint.key')
    : resolve(base, keys.checkpointFile);

/** The keys that this machine signs with. @throws Error unless one is in force for the log in the database. */
export async function openSigningKeys({
  config,
  base,
  database,
  pool,
}: Pick<AuditTreeDeps, 'config' | 'base' | 'database' | 'pool'>): Promise<SigningKeys> {
  const { origin } = config.audit;
  const file = checkpointKeyFile(config, base);
  if (config.keys.checkpointFile === undefined && database.embedded) await makeCheckpointKey(file);
  const local = async () => (await readCheckpointKeys(file)).map((key) => nodeSigner(origin, key));
  const [present] = await local();
  if (present !== undefined && (await registeredKeys(pool)).length === 0) {
    await registerSigningKey(pool, origin, present.publicKey);
  }
  const reader = postgresTree(pool);
  return SigningKeys.open({
    crypto: nodeCrypto,
    origin,
    registered: () => registeredKeys(pool),
    local,
    lastSigned: async () => (await reader.latest())?.size ?? 0,
    afterTurn: process.nextTick,
  }).catch((cause: Error) => {
    throw new Error(`${file}: ${cause.message}`, { cause });
  });
}
