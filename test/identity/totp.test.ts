import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { generateSync } from 'otplib';
import { newTotpSecret, otplibTotp, totpUri } from '#identity/totp.otplib.ts';
import { systemClock } from '#kernel/clock.ts';

/** RFC 6238, appendix B: "12345678901234567890" in Base32, SHA-1. The vectors have eight digits, ours are the last six. */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const VECTORS: readonly (readonly [seconds: number, code: string])[] = [
  [59, '94287082'],
  [1111111109, '07081804'],
  [1111111111, '14050471'],
  [1234567890, '89005924'],
  [2000000000, '69279037'],
  [20000000000, '65353130'],
];

const at = (seconds: number) => otplibTotp({ ...systemClock, now: () => seconds * 1000 });
const codeAt = (seconds: number) => generateSync({ strategy: 'totp', secret: SECRET, epoch: seconds });

describe('TOTP', () => {
  it('knows the vectors of RFC 6238, appendix B', () => {
    for (const [seconds, code] of VECTORS) {
      assert.equal(generateSync({ strategy: 'totp', secret: SECRET, epoch: seconds, digits: 8 }), code);
      assert.equal(at(seconds).stepOf(SECRET, code.slice(2)), Math.floor(seconds / 30));
    }
  });

  it('takes a clock that is one step off and no more, and tells the step of the code', () => {
    const now = 1_234_567_890;
    const step = Math.floor(now / 30);
    // From the first and the last second of a step: the drift is counted in steps, not from the middle.
    for (const second of [step * 30, step * 30 + 29]) {
      for (const drift of [-1, 0, 1])
        assert.equal(at(second).stepOf(SECRET, codeAt(second + drift * 30)), step + drift, `${drift} at ${second}`);
      for (const drift of [-3, -2, 2, 3]) assert.equal(at(second).stepOf(SECRET, codeAt(second + drift * 30)), null);
    }
  });

  it('takes six digits and nothing that looks like them', () => {
    const good = codeAt(59);
    const totp = at(59);
    assert.equal(totp.stepOf(SECRET, good), 1);
    for (const code of ['', '94287082', ` ${good}`, `${good}\n`, `+${good.slice(1)}`, '２８７０８２', '287o82'])
      assert.equal(totp.stepOf(SECRET, code), null, JSON.stringify(code));
  });

  it('makes secrets of 160 bits that differ, and a URI that an authenticator reads', () => {
    const secrets = new Set(Array.from({ length: 100 }, newTotpSecret));
    assert.equal(secrets.size, 100);
    for (const secret of secrets) assert.match(secret, /^[A-Z2-7]{32}$/);
    const uri = new URL(totpUri(SECRET, 'mei'));
    assert.deepEqual([uri.protocol, uri.host], ['otpauth:', 'totp']);
    assert.equal(decodeURIComponent(uri.pathname), '/Strongroom:mei');
    assert.equal(uri.searchParams.get('secret'), SECRET);
    assert.equal(uri.searchParams.get('issuer'), 'Strongroom');
    assert.deepEqual(
      ['algorithm', 'digits', 'period'].map((name) => uri.searchParams.get(name) ?? 'default').join(' '),
      'default default default',
    );
  });
});
