import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { toBase64 } from '#kernel/bytes.ts';
import { Problem } from '#kernel/problem.ts';
import { consistencyPath, inclusionPath, rootOf, type Sha256 } from './merkle.shared.ts';
import { ConsistencyProof, ConsistencyQuery, InclusionProof, InclusionQuery } from './proof.contract.ts';
import type { SignedCheckpoint, TreeReader } from './tree.ts';

export interface ProofDeps {
  readonly readNode: TreeReader['readNode'];
  /** The latest checkpoint of at least `size` records; null if none comes in time. */
  readonly covering: (size: number, waitMs: number) => Promise<SignedCheckpoint | null>;
  readonly sha256: Sha256;
}

const access = {
  action: 'audit.read',
  denial: 'forbidden',
  resource: () => ({ type: 'audit', id: 'tree' }),
} as const;
const common = { method: 'GET', credentials: 'session', stepUp: NO_STEP_UP, counts: 'none', records: 'full' } as const;

/** The tree, for whoever checks it: signed checkpoints and proofs of any size up to the last signed one. */
export function proofRoutes({ readNode, covering, sha256 }: ProofDeps): Route[] {
  /** The size that is asked for, or the latest signed one. Nothing is proven of what nobody has signed yet. */
  const signedSize = async (asked: number | undefined, param: string): Promise<number> => {
    const { size } = await latest(covering);
    if (asked !== undefined && asked > size) throw outside(param, `The last checkpoint covers ${size} records.`);
    return asked ?? size;
  };
  return [
    route({
      ...common,
      id: 'audit.checkpoint',
      path: '/audit/checkpoint',
      summary: 'The latest checkpoint as a signed note (C2SP tlog-checkpoint)',
      access,
      handle: async ({ report }) => {
        const { note, size } = await latest(covering);
        report(() => ({ ran: true, tokens: null, facts: { size }, opening: null }));
        return { kind: 'text', body: note, type: 'text/plain; charset=utf-8' };
      },
    }),
    route<undefined, InclusionQuery>({
      ...common,
      id: 'audit.proof.inclusion',
      path: '/audit/proof/inclusion',
      summary: 'That one record is in the log (RFC 9162, section 2.1.3)',
      access,
      query: InclusionQuery,
      response: InclusionProof,
      handle: async ({ query, report }) => {
        report(() => ({ ran: true, tokens: null, facts: { seq: query.seq, size: query.size ?? null }, opening: null }));
        const size = await signedSize(query.size, 'size');
        if (query.seq >= size) throw outside('seq', 'That tree has no such record.');
        const [leaf, root, proof] = await Promise.all([
          readNode(0, query.seq),
          rootOf(sha256, size, readNode),
          inclusionPath(sha256, query.seq, size, readNode),
        ]);
        const body: InclusionProof = {
          seq: query.seq,
          size,
          leaf: toBase64(leaf),
          root: toBase64(root),
          proof: proof.map(toBase64),
        };
        return { kind: 'json', body };
      },
    }),
    route<undefined, ConsistencyQuery>({
      ...common,
      id: 'audit.proof.consistency',
      path: '/audit/proof/consistency',
      summary: 'That a later log holds an earlier one unchanged (RFC 9162, section 2.1.4)',
      access,
      query: ConsistencyQuery,
      response: ConsistencyProof,
      handle: async ({ query, report }) => {
        const { from } = query;
        report(() => ({ ran: true, tokens: null, facts: { from, to: query.to ?? null }, opening: null }));
        const to = await signedSize(query.to, 'to');
        if (from > to) throw outside('from', 'A log is consistent with later ones only.');
        const [fromRoot, toRoot, proof] = await Promise.all([
          rootOf(sha256, from, readNode),
          rootOf(sha256, to, readNode),
          consistencyPath(sha256, from, to, readNode),
        ]);
        const body: ConsistencyProof = {
          from,
          to,
          from_root: toBase64(fromRoot),
          to_root: toBase64(toRoot),
          proof: proof.map(toBase64),
        };
        return { kind: 'json', body };
      },
    }),
  ];
}

/** In the first second of a log there is none yet. */
const WAIT_MS = 2000;

async function latest(covering: ProofDeps['covering']): Promise<SignedCheckpoint> {
  const checkpoint = await covering(1, WAIT_MS);
  if (checkpoint === null) {
    throw new Problem('audit_unavailable', { message: 'No checkpoint has been signed yet.', retryAfter: 1 });
  }
  return checkpoint;
}

const outside = (param: string, message: string) => new Problem('invalid_parameter', { message, param });
