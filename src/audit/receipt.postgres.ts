import { prepared, type Queryable } from '#postgres/pool.ts';
import type { FindOwnRecords } from './receipt.ts';

interface Row {
  readonly seq: string;
  readonly kind: 'intent' | 'outcome';
  readonly record: string;
  readonly leaf: string;
  readonly opening: string | null;
}

const OWN = prepared<Row>(
  'own_receipt',
  `SELECT seq, kind, record, encode(leaf, 'hex') AS leaf, encode(opening, 'hex') AS opening
     FROM strongroom.own_receipt($1, $2) ORDER BY seq`,
);

export const postgresReceipts =
  (on: Queryable): FindOwnRecords =>
  async (subject, requestId) =>
    (await OWN(on, subject, requestId)).rows.map((row) => ({ ...row, seq: Number(row.seq) }));
