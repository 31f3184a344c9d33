import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { generateSync } from 'otplib';
import { newTotpSecret, otplibTotp, totpUri } from '#identity/totp.otplib.ts';
import { EVERY_APP, formatTotp, parseTotp } from '#identity/totp.ts';
import { systemClock } from '#kernel/clock.ts';

/** RFC 6238, appendix B: "12345678901234567890" in Base32, for SHA-256 with another "123456789012" behind it. */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const SECRET_256 = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA';
/** All with eight digits, as the RFC prints them. */
const VECTORS: readonly (readonly [seconds: number, sha1: string, sha256: string])[] = [
  [59, '94287082', '46119246'],
  [1111111109, '07081804', '68084774'],
  [1111111111, '14050471', '67062674'],
  [1234567890, '89005924', '91819424'],
  [2000000000, '69279037', '90698825'],
  [20000000000, '65353130', '77737706'],
];

const at = (seconds: number) => otplibTotp({ ...systemClock, now: () => seconds * 1000 });
const codeAt = (seconds: number) => generateSync({ strategy: 'totp', secret: SECRET, epoch: seconds });

describe('TOTP', () => {
  it('knows the vectors of RFC 6238, appendix B', () => {
    const one = formatTotp({ algorithm: 'sha1', digits: 8, secret: SECRET });
    const two = formatTotp({ algorithm: 'sha256', digits: 8, secret: SECRET_256 });
    for (const [seconds, sha1, sha256] of VECTORS) {
      const step = Math.floor(seconds / 30);
      assert.equal(at(seconds).stepOf(one, sha1), step);
      assert.equal(at(seconds).stepOf(two, sha256), step);
      // Neither for the other, and no six of the eight digits.
      assert.equal(at(seconds).stepOf(one, sha256), null);
      assert.equal(at(seconds).stepOf(two, sha1), null);
      assert.equal(at(seconds).stepOf(one, sha1.slice(2)), null);
      // With six digits the code is the last six (RFC 4226, section 5.3).
      assert.equal(at(seconds).stepOf(SECRET, sha1.slice(2)), step);
      assert.equal(at(seconds).stepOf(formatTotp({ ...EVERY_APP, secret: SECRET }), sha1.slice(2)), step);
    }
  });

  it('keeps algorithm and digits with each secret; a bare one is of SHA-1 and six digits', () => {
    for (const algorithm of ['sha1', 'sha256'] as const)
      for (const digits of [6, 8] as const) {
        const secret = newTotpSecret({ algorithm, digits });
        assert.deepEqual(parseTotp(formatTotp(secret)), secret);
        assert.equal(secret.secret.length, algorithm === 'sha1' ? 32 : 52);
        const uri = new URL(totpUri(secret, 'mei'));
        assert.equal(uri.searchParams.get('algorithm') ?? 'SHA1', algorithm.toUpperCase());
        assert.equal(uri.searchParams.get('digits') ?? '6', String(digits));
      }
    assert.deepEqual(parseTotp(SECRET), { ...EVERY_APP, secret: SECRET });
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
    const secrets = new Set(Array.from({ length: 100 }, () => newTotpSecret(EVERY_APP).secret));
    assert.equal(secrets.size, 100);
    for (const secret of secrets) assert.match(secret, /^[A-Z2-7]{32}$/);
    const uri = new URL(totpUri({ ...EVERY_APP, secret: SECRET }, 'mei'));
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
