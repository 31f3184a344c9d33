import { generateKeyPairSync } from 'node:crypto';
import { CheckpointSigner } from '#audit/checkpoint.service.ts';
import { openCheckpoint, signCheckpoint } from '#audit/checkpoint.shared.ts';
import { CheckpointFollower } from '#audit/follower.service.ts';
import type { ReadNode } from '#audit/merkle.shared.ts';
import { nodeCrypto, nodeSigner } from '#audit/note-crypto.node.ts';
import type { SigningKeys } from '#audit/signing-keys.service.ts';
import { postgresLeadership, postgresTree } from '#audit/tree.postgres.ts';
import type { AuditMemory, LogFault, RememberedHead, TreeHead, TreeReader } from '#audit/tree.ts';
import { TreeGuard } from '#audit/tree-guard.service.ts';
import type { Log } from '#kernel/log.ts';
import { silentLog } from '#kernel/log.ts';
import type { GuardedPool } from '#postgres/pool.ts';
import type { TestDatabase } from '../harness/postgres.ts';
import type { Estate } from './ledger-estate.ts';
import { note } from './ledger-items.ts';

export const ORIGIN = 'test.example/log';
export const { sha256 } = nodeCrypto;
/** The key of the log in these tests. */
export const SIGNER = nodeSigner(ORIGIN, generateKeyPairSync('ed25519').privateKey);

/** A memory without a disk. `broken`: it can't be written. */
export class FakeMemory implements AuditMemory {
  head: RememberedHead | null;
  broken = false;

  constructor(head: RememberedHead | null = null) {
    this.head = head;
  }
  async load() {
    return this.head;
  }
  async save(head: RememberedHead) {
    if (this.broken) throw new Error('the disk is full');
    this.head = head;
  }
  copy(): FakeMemory {
    return new FakeMemory(this.head);
  }
}

/** One gateway's side of the tree; nothing happens by itself, a test takes the turns. */
export interface TestTree {
  readonly reader: TreeReader;
  readonly guard: TreeGuard;
  readonly signer: CheckpointSigner;
  readonly follower: CheckpointFollower;
  readonly memory: FakeMemory;
  /** Nodes read and round trips made since the last time this was asked. */
  reads(): { nodes: number; trips: number };
  /** Signs until everything is covered. */
  sign(): Promise<TreeHead>;
  /** Its leader's connection, cut off as by a network that fails. */
  cut(): void;
  readonly faults: LogFault[];
}

export async function openTree(
  { pool, instance, database }: { pool: GuardedPool; instance: string; database: TestDatabase },
  memory = new FakeMemory(),
  log: Log = silentLog,
  keys: SigningKeys | null = null,
): Promise<TestTree> {
  let nodes = 0;
  let trips = 0;
  const counting = {
    query: ((...args: Parameters<GuardedPool['query']>) => {
      trips++;
      return (pool.query as (...all: unknown[]) => unknown)(...args);
    }) as never,
  };
  const stored = postgresTree(counting);
  const readNode: ReadNode = (level, index) => {
    nodes++;
    return stored.readNode(level, index);
  };
  const reader = { ...stored, readNode };
  const guard = await TreeGuard.open({ memory, reader, origin: ORIGIN, sha256 });
  const advance = guard.advance.bind(guard);
  const faults: LogFault[] = [];
  const onFault = (fault: LogFault) => {
    faults.push(fault);
    guard.condemn(fault);
  };
  const leadership = postgresLeadership(database.signerUrl, { applicationName: `${instance}-signer` }, instance);
  const signer = new CheckpointSigner({
    ...leadership,
    lead: async () => {
      const led = await leadership.lead();
      if (led !== null) await keys?.refresh();
      return led;
    },
    reader,
    advance,
    sign: (head) => keys?.sign(head) ?? signCheckpoint(nodeCrypto, { ...head, origin: ORIGIN }, SIGNER),
    onFault,
    sha256,
    log,
  });
  const follower = new CheckpointFollower({
    latest: reader.latest,
    open: (text) => keys?.openCheckpoint(text) ?? openCheckpoint(nodeCrypto, text, SIGNER),
    advance,
    confirm: () => guard.confirm(),
    onFault,
    log,
  });
  return {
    reader,
    guard,
    signer,
    follower,
    memory,
    faults,
    reads: () => {
      const seen = { nodes, trips };
      nodes = 0;
      trips = 0;
      return seen;
    },
    sign: async () => {
      while ((await signer.turn()) === 0);
      return guard.known;
    },
    cut: leadership.resign,
  };
}

/** A gateway of the estate with a tree. */
export const treeOf = (estate: Estate, instance: string, memory?: FakeMemory, log?: Log): Promise<TestTree> =>
  openTree({ ...estate.gateway(instance), database: estate.database }, memory, log);

/** Appends so many records as a gateway would. */
export async function append(estate: Estate, count: number): Promise<void> {
  const { commit } = estate.gateway('appender');
  for (let left = count; left > 0; left -= 256) {
    await commit(Array.from({ length: Math.min(left, 256) }, () => note()));
  }
}

/** Appends very many, past the gateway: leaves only, in the size that the head then says. */
export async function appendLeaves(estate: Estate, count: number): Promise<void> {
  await estate.dba.query(
    `WITH h AS (SELECT size FROM head)
     INSERT INTO leaf SELECT h.size + n, sha256(convert_to('leaf ' || h.size + n, 'UTF8')) FROM h, generate_series(0, $1::int - 1) n`,
    [count],
  );
  await estate.dba.query('UPDATE head SET size = size + $1', [count]);
}
