import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { Problem } from '#kernel/problem.ts';
import { inclusionPath, type Sha256 } from './merkle.shared.ts';
import { ReceiptAnswer, ReceiptPath } from './receipt.contract.ts';
import { receiptRecord } from './receipt.shared.ts';
import { type FindOwnRecords, type OwnRecord, pairOf } from './receipt.ts';
import type { SignedCheckpoint, TreeReader } from './tree.ts';

export interface ReceiptDeps {
  readonly find: FindOwnRecords;
  /** The latest checkpoint of at least `size` records; null if none comes in time. */
  readonly covering: (size: number, waitMs: number) => Promise<SignedCheckpoint | null>;
  readonly readNode: TreeReader['readNode'];
  readonly sha256: Sha256;
  readonly origin: string;
  readonly verifierKey: () => Promise<string>;
  /** Notes that lead from earlier keys of the log to the present one. */
  readonly rotations: () => Promise<readonly string[]>;
  /** Time of the newest record whose body retention has dropped; null where none was. */
  readonly droppedUntil: () => Promise<Date | null>;
}

/** A checkpoint follows its records within a second. */
const WAIT_MS = 2000;

export function receiptRoutes(deps: ReceiptDeps): Route[] {
  const { find, covering, readNode, sha256, origin, verifierKey, rotations } = deps;
  return [
    route<{ request: string }>({
      id: 'receipts.get',
      method: 'GET',
      path: '/v1/receipts/:request',
      summary: 'That a request of one’s own is in the log, for anybody to check offline',
      access: { action: 'receipt.read', resource: () => ({ type: 'receipt', id: 'own' }), denial: 'forbidden' },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      params: ReceiptPath,
      response: ReceiptAnswer,
      handle: async ({ params, principal }) => {
        const pair = pairOf(await find(principal.subject, params.request));
        if (pair === null) throw await absent(deps);
        const { intent, outcome } = pair;
        const checkpoint = await covering((outcome ?? intent).seq + 1, WAIT_MS);
        if (checkpoint === null) {
          throw new Problem('audit_unavailable', {
            message: 'No checkpoint covers this request yet. Try again shortly.',
            retryAfter: 1,
          });
        }
        const proven = async ({ seq, record }: OwnRecord) =>
          receiptRecord(seq, record, await inclusionPath(sha256, seq, checkpoint.size, readNode));
        const [first, last] = await Promise.all([proven(intent), outcome && proven(outcome)]);
        const body = {
          v: 1,
          origin,
          checkpoint: checkpoint.note,
          intent: first,
          outcome: last,
          opening: outcome?.opening ?? null,
          verifier_key: await verifierKey(),
          rotations: [...(await rotations())],
        };
        return { kind: 'json', body };
      },
    }),
  ];
}

/** Which requests a dropped body was of, nobody knows any more: the sentence is the same for all that are not there. */
async function absent({ droppedUntil }: ReceiptDeps): Promise<Problem> {
  const until = await droppedUntil();
  if (until === null) return new Problem('not_found');
  const day = until.toISOString().slice(0, 10);
  return new Problem('not_found', {
    message: `There is no record of such a request of yours. Records up to ${day} have been dropped by retention; a receipt that was fetched before still proves its request.`,
  });
}
