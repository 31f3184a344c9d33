import type { Client } from 'pg';
import { type ConnectionOptions, destroyConnection, openConnection, sqlStateOf } from '#postgres/connection.ts';
import { prepared, type Queryable } from '#postgres/pool.ts';
import { ROLES } from '#postgres/roles.ts';
import {
  type Leadership,
  LogFault,
  MissingNode,
  type SignedCheckpoint,
  type TreeReader,
  type TreeState,
} from './tree.ts';

interface CheckpointRow {
  readonly size: string;
  readonly root: Buffer;
  readonly note: string;
}

const STATE = prepared<{ size: string; log: string }>('tree_state', 'SELECT size, log FROM strongroom.tree_state()');
const NODES = prepared<{ hash: Buffer | null }>(
  'tree_nodes',
  'SELECT hash FROM strongroom.tree_nodes($1::int[], $2::bigint[]) ORDER BY ord',
);
const LATEST = prepared<CheckpointRow>(
  'latest_checkpoint',
  'SELECT size, root, note FROM strongroom.latest_checkpoint()',
);
const AT = prepared<CheckpointRow>('checkpoint_at', 'SELECT size, root, note FROM strongroom.checkpoint_at($1)');

/** More than two proofs over 2^62 leaves ask for. */
const NODES_AT_ONCE = 512;

interface Wanted {
  readonly level: number;
  readonly index: number;
  readonly resolve: (hash: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

export function postgresTree(on: Queryable): TreeReader {
  let wanted: Wanted[] = [];
  const fetch = async (batch: readonly Wanted[]) => {
    try {
      const { rows } = await NODES(
        on,
        batch.map(({ level }) => level),
        batch.map(({ index }) => index),
      );
      for (const [at, { level, index, resolve, reject }] of batch.entries()) {
        const hash = rows[at]?.hash ?? null;
        if (hash === null) reject(new MissingNode(`the tree has no node ${index} at level ${level}`));
        else resolve(hash);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };
  const flush = () => {
    const all = wanted;
    wanted = [];
    for (let at = 0; at < all.length; at += NODES_AT_ONCE) void fetch(all.slice(at, at + NODES_AT_ONCE));
  };
  return {
    state: async () => stateOf((await STATE(on)).rows[0]),
    readNode: (level, index) => {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      if (wanted.push({ level, index, resolve, reject }) === 1) process.nextTick(flush);
      return promise;
    },
    latest: async () => checkpointOf((await LATEST(on)).rows[0]),
    at: async (size) => checkpointOf((await AT(on, size)).rows[0]),
  };
}

const stateOf = (row: { size: string; log: string } | undefined): TreeState => {
  if (row === undefined) throw new MissingNode('the database has no tree');
  return { size: Number(row.size), log: Number(row.log) };
};

const checkpointOf = (row: CheckpointRow | undefined): SignedCheckpoint | null =>
  row === undefined ? null : { size: Number(row.size), root: row.root, note: row.note };

/**
 * Leads over a connection of its own: the advisory lock lives as long as its session, and the epoch, which `lead_tree`
 * raises, refuses what an earlier leader still sends.
 */
export function postgresLeadership(url: string, options: ConnectionOptions, instance: string) {
  let client: Client | null = null;
  const resign = () => {
    if (client !== null) destroyConnection(client);
    client = null;
  };
  const lead = async (): Promise<Leadership | null> => {
    const session = client ?? (await openConnection(url, { ...options, role: ROLES.signer }));
    client = session;
    const { rows } = await session.query<{ epoch: string | null }>('SELECT strongroom.lead_tree($1) AS epoch', [
      instance,
    ]);
    const epoch = rows[0]?.epoch ?? null;
    if (epoch === null) return null;
    return {
      extend: async (limit) => {
        const { rows: states } = await session
          .query<{ size: string; log: string }>({
            name: 'extend_tree',
            text: 'SELECT o_size AS size, o_log AS log FROM strongroom.extend_tree($1, $2)',
            values: [epoch, limit],
          })
          .catch((cause: unknown) => {
            // data_corrupted
            throw sqlStateOf(cause) === 'XX001' ? new LogFault((cause as Error).message, { cause }) : cause;
          });
        return stateOf(states[0]);
      },
      publish: async ({ size, root, note }) => {
        await session.query({
          name: 'put_checkpoint',
          text: 'SELECT strongroom.put_checkpoint($1, $2, $3, $4)',
          values: [epoch, size, Buffer.from(root), note],
        });
      },
    };
  };
  return { lead, resign };
}
