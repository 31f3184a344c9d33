import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newTotpSecret, otplibTotp, totpUri } from '#identity/totp.otplib.ts';
import { fakeClock } from '../fakes/ledger-commit.ts';

/** RFC 6238, appendix B, SHA-1: the last six of the eight digits there. */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const VECTORS: readonly [seconds: number, code: string][] = [
  [59, '287082'],
  [1111111109, '081804'],
  [1111111111, '050471'],
  [1234567890, '005924'],
  [2000000000, '279037'],
  [20000000000, '353130'],
];

describe('TOTP', () => {
  for (const [seconds, code] of VECTORS) {
    const step = Math.floor(seconds / 30);
    const at = (moment: number) => otplibTotp(fakeClock(moment * 1000)).stepOf(SECRET, code);

    it(`gives the step of ${code} at ${seconds} s, and of one step before and after it`, () => {
      assert.equal(at(seconds), step);
      const [first, last] = [step * 30, step * 30 + 29];
      assert.equal(at(first), step);
      assert.equal(at(last), step);
      assert.equal(at(first - 30), step);
      assert.equal(at(last + 30), step);
      if (first > 30) assert.equal(at(first - 31), null);
      assert.equal(at(last + 31), null);
    });
  }

  it('takes six ASCII digits and nothing else', () => {
    const totp = otplibTotp(fakeClock(59_000));
    for (const code of [
      '',
      '28708',
      '2870820',
      ' 287082',
      '287082 ',
      '287082\n',
      '28708２',
      '287 082',
      '-87082',
      '2.7082',
      '0x1234',
    ]) {
      assert.equal(totp.stepOf(SECRET, code), null, JSON.stringify(code));
    }
    assert.equal(totp.stepOf(SECRET, '287083'), null);
  });

  it('makes secrets of 160 bits and the URI that an app reads', () => {
    assert.match(newTotpSecret(), /^[A-Z2-7]{32}$/);
    assert.notEqual(newTotpSecret(), newTotpSecret());
    const uri = new URL(totpUri(SECRET, 'anna müller'));
    assert.deepEqual([uri.protocol, uri.host, uri.searchParams.get('secret')], ['otpauth:', 'totp', SECRET]);
    assert.equal(uri.searchParams.get('issuer'), 'Strongroom');
  });
});
