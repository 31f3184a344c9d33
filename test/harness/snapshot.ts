import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Compares with a checked-in JSON file. A change that is wanted is written by running the test with UPDATE_SNAPSHOTS=1,
 * and is then read by a person in the diff.
 */
export function assertSnapshot(file: URL, found: unknown): void {
  if (process.env['UPDATE_SNAPSHOTS'] === '1') writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
  assert.deepEqual(found, JSON.parse(readFileSync(file, 'utf8')), `differs from ${file.pathname}`);
}
