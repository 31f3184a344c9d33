import assert from 'node:assert/strict';
import { createHash, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { leafHash, prettyPieces } from '#portal/record.ts';
import { readRefusal } from '#portal/refusal.ts';

const pretty = (text: string): string =>
  prettyPieces(text)
    .map((piece) => piece.text)
    .join('');

test('the leaf is SHA-256 over a zero byte and the UTF-8 bytes', async () => {
  for (const record of ['', '{"a":"你好"}', 'x'.repeat(5000)]) {
    const expected = createHash('sha256').update('\0').update(record, 'utf8').digest('hex');
    assert.equal(await leafHash(record, webcrypto.subtle), expected);
  }
  // RFC 9162: the leaf of an empty entry.
  const empty = '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d';
  assert.equal(await leafHash('', webcrypto.subtle), empty);
});

test('records are laid out without touching what they say', () => {
  const record = '{"a":{"b":[],"c":{}},"d":[1,true,"x\\",{:"],"n":90071992547409931}';
  const shown = pretty(record);
  assert.deepEqual(JSON.parse(shown), JSON.parse(record));
  assert.ok(shown.includes('90071992547409931'));
  assert.equal(
    shown,
    `{
  "a": {
    "b": [],
    "c": {}
  },
  "d": [
    1,
    true,
    "x\\",{:"
  ],
  "n": 90071992547409931
}`,
  );
});

test('what is not JSON is shown as it is', () => {
  assert.equal(pretty('<b>not</b> {json'), '<b>not</b> {json');
});

const known = (code: string): code is 'conflict' | 'step_up_required' =>
  code === 'conflict' || code === 'step_up_required';

test('both error shapes are read, and an unknown code falls back on the status', () => {
  assert.deepEqual(readRefusal('{"error":{"code":"conflict","message":"m"}}', 409, known), {
    code: 'conflict',
    detail: { status: 409, message: 'm' },
  });
  const problem =
    '{"type":"about:blank","title":"t","detail":"d","code":"step_up_required","challenge":"suc_1","operation":"o"}';
  assert.deepEqual(readRefusal(problem, 401, known), {
    code: 'step_up_required',
    detail: { status: 401, message: 'd', challenge: 'suc_1', operation: 'o' },
  });
  assert.equal(readRefusal('<html>', 502, known).code, 'internal');
  assert.equal(readRefusal('{"code":"constructor"}', 401, known).code, 'unauthenticated');
});
