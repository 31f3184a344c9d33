import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { voidOf } from '#admission/gate.service.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import { sealedUnder } from '#identity/seal.ts';
import { readSealKeys, replaceSealKeys } from '#identity/seal-key.files.ts';
import type { RotationStep } from '#identity/seal-rotation.service.ts';
import { openSealKey } from '#identity/sealer.crypto.ts';
import { parseTotp } from '#identity/totp.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { openPool } from '#postgres/pool.ts';
import { openRotation, readKeys } from '../../src/gateway-keys.ts';
import { eventually, present, TestGateway } from '../harness/gateway.ts';
import {
  codeOf,
  enrol,
  firstAdmin,
  forgetGuesses,
  invite,
  newPerson,
  PASSWORD,
  type Person,
  signIn,
  withFactor,
} from './people.ts';

describe('the seal key is rotated while gateways run', () => {
  let a: TestGateway;
  let b: TestGateway;
  let stack: AsyncDisposableStack;
  let people: Person[];
  let pending: { person: Person; secret: string };
  let rotation: () => ReturnType<typeof openRotation>;
  let file: string;

  before(async () => {
    a = await TestGateway.open({ models: {} });
    b = await a.replica({ models: {} });
    file = join(a.dataDir, 'keys', 'seal.key');
    const admin = await firstAdmin(a);
    people = [admin];
    for (const username of ['mei', 'kim'])
      people.push((await withFactor(a, await newPerson(a, admin, { username, roles: ['analyst'] }))).person);
    const plain = await newPerson(a, admin, { username: 'waiting', roles: ['analyst'] });
    const begun = await a.client.post('/auth/totp/enrol', { password: PASSWORD }, plain.bearer);
    pending = { person: plain, secret: begun.json<{ secret: string }>().secret };
    stack = new AsyncDisposableStack();
    const pool = openPool(a.database.runtimeUrl, { applicationName: 'rotation', log: silentLog, max: 2 });
    stack.defer(() => pool.close());
    const commit = batchCommitter(pool, 'cli_test', 'UTC');
    const ledger = stack.use(new Ledger({ commit, clock: systemClock, log: silentLog, voidOf }));
    const recorder = stack.use(
      new AuditRecorder({ submit: ledger.submit.bind(ledger), clock: systemClock, log: silentLog }),
    );
    rotation = () => openRotation({ file, pool, recorder, facts: { os_user: 'tester' } });
  });
  after(async () => {
    await stack?.[Symbol.asyncDispose]();
    await b?.[Symbol.asyncDispose]();
    await a?.[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(a));

  const states = async () =>
    Object.fromEntries(
      (
        await a.database.sql<{ fingerprint: string; state: string }>("SELECT * FROM key_file WHERE purpose = 'seal'")
      ).map(({ fingerprint, state }) => [fingerprint, state]),
    );
  const head = async () => present(Object.entries(await states()).find(([, state]) => state === 'head'))[0];
  const sealed = async () =>
    a.database.sql<{ id: string; secret: Buffer | null; pending: Buffer | null }>(
      'SELECT id, totp_secret AS secret, totp_pending AS pending FROM account WHERE totp_secret IS NOT NULL OR totp_pending IS NOT NULL',
    );
  /** At this moment every secret is opened by a key of the file. */
  const allOpen = async () => {
    const keys = await readKeys(file);
    const opened: string[] = [];
    for (const { id, secret, pending: waiting } of await sealed())
      for (const bytes of [secret, waiting])
        if (bytes !== null) {
          const key = keys.find(({ name }) => name === sealedUnder(bytes));
          opened.push(parseTotp(present(key).open(bytes, `totp ${id}`)).secret);
        }
    assert.deepEqual(opened.toSorted(), [...people.map(({ secret }) => present(secret)), pending.secret].toSorted());
  };
  /** Everybody signs in on both gateways, whatever stands under which key. */
  const allSignIn = async () => {
    for (const person of people)
      for (const test of [a, b]) {
        await a.database.sql('UPDATE account SET totp_last_step = 0');
        const { username, password, secret } = person;
        const answer = await test.client.post('/auth/login', { username, password, code: codeOf(present(secret)) });
        assert.equal(answer.status, 200, `${username}: ${answer.text}`);
      }
  };
  const run = async (upTo: number): Promise<RotationStep[]> => {
    const steps: RotationStep[] = [];
    for await (const step of rotation().run()) {
      steps.push(step);
      if (steps.length >= upTo) break;
    }
    return steps;
  };

  it('whole: every second factor is sealed anew, on the record, and works on every gateway; the old key is gone', async () => {
    const before = await head();
    const steps = await run(Number.POSITIVE_INFINITY);
    assert.deepEqual([...new Set(steps)], ['written', 'prepared', 'advanced', 'resealed', 'retired', 'removed']);
    assert.equal(steps.filter((step) => step === 'resealed').length, people.length + 1);
    const after = await head();
    assert.notEqual(after, before);
    assert.equal((await states())[before], 'retired');
    assert.deepEqual(
      (await readKeys(file)).map(({ name }) => name),
      [after],
    );
    for (const { secret, pending: waiting } of await sealed())
      for (const bytes of [secret, waiting]) if (bytes) assert.equal(sealedUnder(bytes), after);
    await allOpen();
    await allSignIn();
    const rows = await a.database.sql<{ action: string; n: string }>(
      "SELECT action, count(*) AS n FROM entry WHERE action LIKE 'seal.%' OR action = 'totp.reseal' GROUP BY 1 ORDER BY 1",
    );
    assert.deepEqual(Object.fromEntries(rows.map(({ action, n }) => [action, Number(n)])), {
      'seal.advance': 1,
      'seal.prepare': 1,
      'seal.retire': 1,
      'totp.reseal': people.length + 1,
    });
    const bytes = await readFile(file, 'utf8');
    const records = await a.database.sql<{ record: string }>('SELECT record FROM entry');
    assert.ok(records.every(({ record }) => !record.includes(bytes.trim())));
  });

  it('sessions and devices stay what they were: nothing ends by it', async () => {
    for (const { bearer } of people) assert.equal((await b.client.get('/auth/session', bearer)).status, 200);
  });

  it('killed after any step it loses nothing, and beginning again brings it to its end', async () => {
    // written, prepared, advanced, each re-sealing, retired.
    for (let steps = 1; steps <= people.length + 5; steps++) {
      const before = await head();
      const done = await run(steps);
      assert.equal(done.length, steps);
      await allOpen();
      if (steps % 3 === 0) await allSignIn();
      const rest = await run(Number.POSITIVE_INFINITY);
      assert.equal(rest.at(-1), 'removed');
      await allOpen();
      const known = Object.values(await states());
      assert.equal(known.filter((state) => state === 'head').length, 1);
      assert.ok(
        known.every((state) => state === 'head' || state === 'retired'),
        known.join(),
      );
      assert.notEqual(await head(), before);
      assert.equal((await readSealKeys(file)).length, 1);
    }
    await allSignIn();
  });

  it('a factor that is set up in the middle of it is not lost', async () => {
    const steps = rotation().run();
    for (const wanted of ['written', 'prepared', 'advanced']) assert.equal((await steps.next()).value, wanted);
    const [admin] = people;
    const { link } = await invite(a, await signIn(a, present(admin)), { username: 'late', roles: ['analyst'] });
    await enrol(a, link);
    const { person } = await withFactor(b, await signIn(b, { username: 'late', password: PASSWORD, secret: null }));
    people.push(person);
    for await (const _ of steps);
    await allOpen();
    await allSignIn();
  });

  it('a key is not used before every running gateway holds it', async () => {
    // A third gateway whose file is another machine's.
    const elsewhere = join(a.dataDir, 'elsewhere.key');
    await copyFile(file, elsewhere);
    const c = await a.replica({ models: {}, keys: { sealFile: elsewhere } });
    try {
      const steps = rotation().run();
      assert.deepEqual([(await steps.next()).value, (await steps.next()).value], ['written', 'prepared']);
      const advanced = steps.next();
      const unknown = present((await readKeys(file)).map(({ name }) => name).at(-1));
      await eventually(async () => {
        const [row] = await a.database.sql<{ n: string }>(
          'SELECT count(*) AS n FROM key_holder WHERE $1 = ANY (fingerprints)',
          [unknown],
        );
        return row?.n === '2';
      });
      assert.equal((await states())[unknown], 'next');
      // The operator copies the file: it goes on.
      await replaceSealKeys(elsewhere, await readSealKeys(file));
      assert.equal((await advanced).value, 'advanced');
      for await (const _ of steps);
      const [person] = people;
      await a.database.sql('UPDATE account SET totp_last_step = 0');
      const { username, password, secret } = present(person);
      const answer = await c.client.post('/auth/login', { username, password, code: codeOf(present(secret)) });
      assert.equal(answer.status, 200, answer.text);
    } finally {
      await c[Symbol.asyncDispose]();
    }
  });

  it('a gateway with another key file does not start, and says which file and which key', async () => {
    const other = join(a.dataDir, 'other.key');
    await writeFile(other, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const name = await head();
    await assert.rejects(a.replica({ models: {}, keys: { sealFile: other } }), (error: Error) => {
      assert.ok(error.message.includes(other) && error.message.includes(name), error.message);
      return true;
    });
  });

  it('nothing is sealed under a retired key, whoever holds one still', async () => {
    const retired = openSealKey(randomBytes(32));
    await a.database.sql(
      "INSERT INTO key_file (purpose, fingerprint, state, registered_at) VALUES ('seal', $1, 'retired', now())",
      [retired.name],
    );
    const bytes = Buffer.from(retired.seal('x', 'totp x'));
    for (const column of ['totp_secret', 'totp_pending'])
      await assert.rejects(a.database.sql(`UPDATE account SET ${column} = $1`, [bytes]), /retired/);
  });
});
