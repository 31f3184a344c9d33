import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import { codeOf, firstAdmin, newPerson, PASSWORD, type Person, withFactor } from '../identity/people.ts';

/** Base32 (RFC 4648) without padding. */
function bytesOf(base32: string): Buffer {
  let bits = '';
  for (const letter of base32) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}

describe('promise 21: passwords hashed, second factors sealed, keys for their owner alone', () => {
  let test: TestGateway;
  let admin: Person;
  let mei: Person;
  let codes: readonly string[];
  let pending: string;
  before(async () => {
    test = await TestGateway.open({ models: {} });
    admin = await firstAdmin(test);
    const made = await withFactor(test, await newPerson(test, admin, { username: 'mei', roles: ['admin'] }));
    mei = made.person;
    codes = made.recoveryCodes;
    // One more that waits for its first code.
    const plain = await newPerson(test, admin, { username: 'kim', roles: ['analyst'] });
    const begun = await test.client.post('/auth/totp/enrol', { password: PASSWORD }, plain.bearer);
    pending = begun.json<{ secret: string }>().secret;
  });
  after(() => test[Symbol.asyncDispose]());

  /** The whole database as text: every table's every row, bytes in hexadecimal. */
  async function everything(): Promise<string> {
    const tables = await test.database.sql<{ name: string }>(
      "SELECT format('%I', relname) AS name FROM pg_class WHERE relnamespace = 'strongroom'::regnamespace AND relkind = 'r'",
    );
    assert.ok(tables.length > 15);
    const texts: string[] = [];
    for (const { name } of tables) {
      const rows = await test.database.sql<{ text: string }>(`SELECT t::text AS text FROM ${name} t`);
      texts.push(...rows.map(({ text }) => text));
    }
    return texts.join('\n').toLowerCase();
  }

  it('no table holds a secret in clear: not as text, not as its bytes, in no common writing', async () => {
    const text = await everything();
    assert.ok(text.includes('mei'), 'the search sees what is there');
    const secrets = [present(admin.secret), present(mei.secret), pending];
    for (const secret of secrets)
      for (const bytes of [Buffer.from(secret), bytesOf(secret)])
        for (const form of [bytes.toString('latin1'), bytes.toString('hex'), bytes.toString('base64')])
          assert.ok(!text.includes(form.toLowerCase()), form);
    for (const word of [
      PASSWORD,
      admin.password,
      mei.token,
      admin.token,
      ...codes,
      ...codes.map((c) => c.replaceAll('-', '')),
      codeOf(pending),
    ])
      for (const form of [word, Buffer.from(word).toString('hex')])
        if (form.length > 6) assert.ok(!text.includes(form.toLowerCase()), form);
  });

  it('passwords are Argon2id with at least 19 MiB and two passes, each with a salt of its own', async () => {
    const rows = await test.database.sql<{ password_hash: string }>('SELECT password_hash FROM account');
    assert.ok(rows.length >= 5);
    const salts = rows.map(({ password_hash: hash }) => {
      const [, memory, passes, salt = ''] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$([^$]+)\$[^$]+$/.exec(hash) ?? [];
      assert.ok(Number(memory) >= 19_456 && Number(passes) >= 2, hash);
      assert.ok(Buffer.from(salt, 'base64').length >= 16);
      return salt;
    });
    assert.equal(new Set(salts).size, salts.length);
  });

  it('recovery codes are stored as hashes of their account and themselves', async () => {
    const rows = await test.database.sql<{ ref: string }>('SELECT ref FROM recovery_code WHERE account_id = $1', [
      mei.subject,
    ]);
    assert.equal(rows.length, 10);
    for (const { ref } of rows) assert.match(ref, /^[0-9a-f]{64}$/);
  });

  it('a sealed secret that a DBA moves to another account opens nothing there', async () => {
    const login = (who: Person, secret: string) =>
      test.client.post('/auth/login', { username: who.username, password: who.password, code: codeOf(secret) });
    await test.database.sql('UPDATE account SET totp_last_step = 0');
    assert.equal((await login(mei, present(mei.secret))).status, 200);
    const [kept] = await test.database.sql<{ totp_secret: Buffer }>('SELECT totp_secret FROM account WHERE id = $1', [
      admin.subject,
    ]);
    await test.database.sql(
      `UPDATE account SET totp_last_step = 0, totp_secret = (SELECT totp_secret FROM account WHERE id = $2) WHERE id = $1`,
      [admin.subject, mei.subject],
    );
    const moved = await login(admin, present(mei.secret));
    assert.ok(moved.status >= 400, moved.text);
    assert.ok(!moved.text.includes('mei'));
    await test.database.sql('UPDATE account SET totp_secret = $2 WHERE id = $1', [admin.subject, kept?.totp_secret]);
    await test.database.sql('DELETE FROM guess');
    assert.equal((await login(admin, present(admin.secret))).status, 200);
  });

  it('the files of keys and of the first run are for their owner alone', async () => {
    for (const file of ['keys/seal.key', 'first-run.json'])
      assert.equal((await stat(join(test.dataDir, file))).mode & 0o777, 0o600, file);
  });

  it('no log line tells a secret', () => {
    const lines = JSON.stringify(test.log);
    for (const word of [PASSWORD, admin.password, mei.token, admin.token, present(mei.secret), pending, ...codes])
      assert.ok(!lines.includes(word));
  });
});
