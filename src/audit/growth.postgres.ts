import { prepared, type Queryable } from '#postgres/pool.ts';
import type { LogSize } from './growth.ts';

interface Row {
  readonly records: string;
  readonly day_records: string;
  readonly dropped: string;
  readonly covered: string;
  readonly bytes: string;
}

const GROWTH = prepared<Row>('log_growth', 'SELECT * FROM strongroom.log_growth()');

export async function readLogSize(on: Queryable): Promise<LogSize> {
  const [row] = (await GROWTH(on)).rows;
  if (row === undefined) throw new Error('the database holds no log');
  return {
    records: Number(row.records),
    dayRecords: Number(row.day_records),
    dropped: Number(row.dropped),
    covered: Number(row.covered),
    bytes: Number(row.bytes),
  };
}
