import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'uqr';
import { changeOf, draftOf, matches } from '#portal/account.ts';
import { ANY_PATTERN, cleanCode, inFours } from '#portal/code.ts';
import { qrPath } from '#portal/qr.ts';

test('a code is taken as it was meant: digits, or a recovery code in groups of four', () => {
  assert.equal(cleanCode(' 123 456\n', true), '123456');
  assert.equal(cleanCode('1234567890', true), '12345678');
  assert.equal(cleanCode('K7QA 2MZD X5YT W3BN', true), 'k7qa-2mzd-x5yt-w3bn');
  assert.equal(cleanCode('k7qa2mzdx5ytw3bn-extra', true), 'k7qa-2mzd-x5yt-w3bn');
  assert.equal(cleanCode('k7qa-', true), 'k7qa');
  assert.equal(cleanCode('2345-6', true), '2345-6');
  assert.equal(cleanCode('k7qa-2mzd', false), '72');
  const pattern = new RegExp(`^(?:${ANY_PATTERN})$`);
  for (const good of ['123456', '12345678', 'k7qa-2mzd-x5yt-w3bn']) assert.match(good, pattern);
  for (const bad of ['12345', 'k7qa-2mzd', 'k7qa-2mzd-x5yt-w3b1', '123456789']) assert.doesNotMatch(bad, pattern);
  assert.deepEqual(inFours('JBSWY3DPEH'), ['JBSW', 'Y3DP', 'EH']);
});

test('the path of a QR code covers its dark modules and no other', () => {
  const { data } = encode('otpauth://totp/Strongroom:mei.chen?secret=JBSWY3DPEHPK3PXP', { ecc: 'M', border: 4 });
  const covered = new Set<string>();
  for (const [, x, y, run] of qrPath(data).matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g))
    for (let step = 0; step < Number(run); step++) covered.add(`${Number(x) + step} ${y}`);
  const dark = data.flatMap((row, y) => row.flatMap((on, x) => (on ? [`${x} ${y}`] : [])));
  assert.deepEqual([...covered], dark);
  assert.equal(data.slice(0, 4).flat().includes(true), false, 'a quiet zone of four modules');
});

const user = {
  id: 'usr_1',
  username: 'mei.chen',
  roles: ['auditor', 'analyst'],
  attributes: { department: 'risk', clearance: 2, branch: 'Zürich', certifications: [] },
  state: 'active',
  has_totp: false,
  has_passkey: false,
  created_at: '2026-11-21T00:00:00Z',
  last_sign_in_at: null,
} satisfies Parameters<typeof draftOf>[0];

test('a change names only what differs, whatever the order of the roles', () => {
  const draft = draftOf(user);
  assert.equal(changeOf(user, draft), null);
  assert.equal(changeOf(user, { ...draft, department: ' risk ' }), null);
  assert.deepEqual(changeOf(user, { ...draft, clearance: 0, branch: '' }), { clearance: 0, branch: '' });
  assert.deepEqual(changeOf(user, { ...draft, roles: ['analyst'] }), { roles: ['analyst'] });
});

test('an account is found by every word, wherever it stands', () => {
  assert.ok(matches(user, ''));
  assert.ok(matches(user, 'ZÜRICH analyst'));
  assert.ok(!matches(user, 'mei bern'));
});
