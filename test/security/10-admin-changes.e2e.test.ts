import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import {
  answerChallenge,
  challengeFor,
  codeOf,
  firstAdmin,
  forgetGuesses,
  forgetSteps,
  type Operation,
  type Person,
  proofFor,
  signIn,
  stepped,
  withProof,
} from '../identity/people.ts';
import { placeNamed, routeTable, type TableRoute } from '../identity/route-table.ts';

/** Changes that need no second factor, each with its reason. Whatever is not here does. */
const WITHOUT: Readonly<Record<string, string>> = {
  'auth.logout': 'gives nothing',
  'auth.sessions.end': 'takes away one’s own',
  'keys.revoke': 'takes away one’s own',
  'auth.step-up': 'is the second factor',
  'auth.step-up.options': 'is what the second factor signs',
  'auth.passkeys.register': 'needs an answer to the challenge that a step-up or the password has begun',
  'auth.passkeys.rename': 'is a label of one’s own',
  'auth.totp.activate': 'needs a code of the secret that a step-up or the password has begun',
  'chat.completions': 'is use, not change',
  completions: 'is use, not change',
  embeddings: 'is use, not change',
  'audit.policies.replay': 'reads only',
};

describe('promise 10: every admin change needs a fresh second factor for that one operation', () => {
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let table: TableRoute[];
  let other: string;

  before(async () => {
    // Two models that nobody loads: their engines are never asked.
    const upstream = { upstream: { url: 'http://127.0.0.1:9', model: 'none' } };
    a = await TestGateway.open({ models: { one: upstream, two: upstream } });
    b = await a.replica({ models: { one: upstream, two: upstream } });
    // Every role at once: what a policy would refuse before the step-up is not what is tested here.
    await a.database.sql("UPDATE account SET roles = '{admin,analyst,auditor}' WHERE username = 'admin'");
    admin = await firstAdmin(a);
    other =
      present(await a.database.sql<{ id: string }>("SELECT id FROM account WHERE username = 'analyst'"))[0]?.id ?? '';
    await placeNamed(a);
    table = await routeTable(a, (id) =>
      id.startsWith('admin.users') ? other : id.includes('model') ? 'one' : undefined,
    );
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(a));

  const changes = () => table.filter(({ method, isPublic }) => method !== 'GET' && !isPublic);
  const operation = (path: string, body?: unknown): Operation => ({
    method: 'POST',
    path,
    ...(body === undefined ? {} : { body }),
  });
  const LOAD = operation('/admin/models/one/load');
  const newUser = (username: string) => operation('/admin/users', { username, roles: ['analyst'] });
  const unspent = async (): Promise<number> =>
    Number(
      (
        await a.database.sql('SELECT count(*) FROM step_up_challenge WHERE spent_at IS NULL AND proof_ref IS NOT NULL')
      )[0]?.['count'],
    );
  const state = () =>
    a.database.sql(
      `SELECT (SELECT json_agg(a ORDER BY a.id) FROM (SELECT id, roles, password_hash, totp_secret, totp_pending, disabled_at,
         epoch FROM account) a)::text AS accounts, (SELECT count(*) FROM enrolment)::int AS links,
         (SELECT json_agg(m) FROM model_state m)::text AS models, (SELECT count(*) FROM api_key)::int AS keys,
         (SELECT max(version) FROM policy_version)::int AS policy`,
    );

  it('asks for it on every change of the route table, with a sentence and a challenge', async () => {
    const asked = changes().filter(({ id }) => WITHOUT[id] === undefined);
    assert.ok(asked.length >= 12, `only ${asked.length} changes: ${asked.map(({ id }) => id)}`);
    assert.ok(asked.filter(({ path }) => path.startsWith('/admin/')).length >= 9);
    for (const route of asked) {
      const { operation: sentence, challenge } = await challengeFor(a, admin, route);
      assert.match(sentence, /^[A-Z].{8,}/, route.id);
      assert.match(challenge, /^suc_[A-Za-z0-9_-]{43}$/);
    }
    for (const { id, path } of changes())
      assert.ok(WITHOUT[id] === undefined || !path.startsWith('/admin/'), `${id} is an admin change without step-up`);
  });

  it('has no exemption for a route that is not there', () => {
    const ids = new Set(table.map(({ id }) => id));
    assert.deepEqual(
      Object.keys(WITHOUT).filter((id) => !ids.has(id)),
      [],
    );
  });

  it('a stolen session is useless for all of them: without a proof, with a made-up one, with a wrong code', async () => {
    const before = await state();
    for (const route of changes().filter(({ id }) => WITHOUT[id] === undefined)) {
      for (const proof of [`sup_${'A'.repeat(43)}`, '', 'x', admin.token]) {
        const answer = await withProof(b, admin, route, proof);
        assert.deepEqual([answer.status, answer.code], [401, 'step_up_required'], `${route.id} with ${proof}`);
      }
      const { challenge } = await challengeFor(a, admin, route);
      assert.ok((await answerChallenge(b, admin, challenge, '000000')).status >= 400);
    }
    assert.deepEqual(await state(), before);
  });

  it('answers with the challenge of RFC 9470', async () => {
    const answer = await a.client.request('POST', LOAD.path, { headers: admin.bearer });
    assert.equal(
      answer.headers['www-authenticate'],
      'Bearer error="insufficient_user_authentication", acr_values="urn:strongroom:acr:otp", max_age="0"',
    );
    assert.equal(answer.json()['operation'], 'Load the model one');
  });

  it('refuses API keys on every admin route, and everybody who has no second factor', async () => {
    const made = await stepped(a, admin, operation('/auth/keys', { name: 'k' }));
    assert.equal(made.status, 201, made.text);
    const { key } = made.json<{ key: string }>();
    for (const { method, path, body, id } of table.filter(({ path }) => path.startsWith('/admin/'))) {
      const options = { headers: { authorization: `Bearer ${key}` }, ...(body === undefined ? {} : { body }) };
      const answer = await a.client.request(method, path, options);
      assert.equal(
        answer.code,
        'session_required',
        `${id} ${key} ${JSON.stringify(await a.database.sql('select * from api_key'))}`,
      );
    }
  });

  describe('a proof for one operation', () => {
    const elsewhere: [string, Operation, Operation][] = [
      ['another model', LOAD, operation('/admin/models/two/load')],
      ['another verb', LOAD, operation('/admin/models/one/unload')],
      ['another query', LOAD, operation('/admin/models/one/load?force=1')],
      ['another body', newUser('ann'), newUser('bob')],
      [
        'the same body in other bytes',
        newUser('ann'),
        operation('/admin/users', { roles: ['analyst'], username: 'ann' }),
      ],
      [
        'one member more',
        newUser('ann'),
        operation('/admin/users', { username: 'ann', roles: ['analyst'], clearance: 4 }),
      ],
      ['another role', newUser('ann'), operation('/admin/users', { username: 'ann', roles: ['admin'] })],
    ];
    for (const [name, right, wrong] of elsewhere)
      it(`is refused for ${name}, stays unspent, and opens its own`, async () => {
        const proof = await proofFor(a, admin, right);
        const before = await unspent();
        for (const test of [a, b]) {
          const refused = await withProof(test, admin, wrong, proof);
          assert.deepEqual([refused.status, refused.code], [401, 'step_up_required']);
        }
        assert.equal(await unspent(), before);
        assert.ok((await withProof(b, admin, right, proof)).status < 300);
        assert.equal((await withProof(a, admin, right, proof)).code, 'step_up_required');
        await a.database.sql(
          "DELETE FROM enrolment WHERE account_id IN (SELECT id FROM account WHERE username = 'ann')",
        );
        await a.database.sql("DELETE FROM account WHERE username = 'ann'");
      });

    it('is refused in another session of the same user, and stays unspent', async () => {
      const second = await signIn(b, admin);
      const proof = await proofFor(a, admin, LOAD);
      assert.equal((await withProof(a, second, LOAD, proof)).code, 'step_up_required');
      assert.equal((await withProof(b, second, LOAD, proof)).code, 'step_up_required');
      assert.equal((await withProof(a, admin, LOAD, proof)).status, 202);
    });

    it('is refused for another user, and so is his challenge', async () => {
      await a.database.sql(`UPDATE account SET roles = '{admin}', totp_secret = NULL WHERE username = 'auditor'`);
      const { username, password } = a.account('auditor');
      const plain = await signIn(a, { username, password, secret: null });
      const begun = await a.client.post('/auth/totp/enrol', { password }, plain.bearer);
      const { secret } = begun.json<{ secret: string }>();
      await a.client.post('/auth/totp/activate', { code: codeOf(secret) }, plain.bearer);
      const rival = await signIn(a, { username, password, secret });
      const proof = await proofFor(a, admin, LOAD);
      assert.equal((await withProof(a, rival, LOAD, proof)).code, 'step_up_required');
      const { challenge } = await challengeFor(a, admin, LOAD);
      await forgetSteps(a);
      assert.equal((await answerChallenge(a, rival, challenge, codeOf(secret))).code, 'not_found');
      assert.equal((await withProof(a, admin, LOAD, proof)).status, 202);
    });

    it('is spent once, of 16 at once over two gateways', async () => {
      const proof = await proofFor(a, admin, LOAD);
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, n) => withProof(n % 2 ? a : b, admin, LOAD, proof)),
      );
      assert.equal(answers.filter(({ status }) => status === 202).length, 1);
      const others = answers.filter(({ status }) => status !== 202);
      assert.deepEqual(new Set(others.map(({ code }) => code)), new Set(['step_up_required']));
    });

    it('holds for 120 s by the clock of the database', async () => {
      const age = (seconds: number) =>
        a.database.sql(
          `UPDATE step_up_challenge SET proof_until = clock_timestamp() + make_interval(secs => 120 - $1)
           WHERE spent_at IS NULL AND proof_ref IS NOT NULL`,
          [seconds],
        );
      const old = await proofFor(a, admin, LOAD);
      const [{ left } = { left: 0 }] = await a.database.sql<{ left: number }>(
        `SELECT extract(epoch FROM proof_until - at)::float8 AS left FROM step_up_challenge, entry
         WHERE action = 'step_up.prove' AND outcome = 'completed' AND proof_ref IS NOT NULL
         ORDER BY seq DESC, proof_until DESC LIMIT 1`,
      );
      assert.ok(Math.abs(left - 120) < 0.5, `${left} s`);
      await age(120);
      assert.equal((await withProof(a, admin, LOAD, old)).code, 'step_up_required');
      const fresh = await proofFor(a, admin, LOAD);
      await age(100);
      assert.equal((await withProof(a, admin, LOAD, fresh)).status, 202);
    });

    it('a challenge is over after five minutes, five wrong codes, or its proof', async () => {
      const code = codeOf(present(admin.secret));
      const answer = async (challenge: string) => {
        await forgetSteps(a);
        await forgetGuesses(a);
        return (await answerChallenge(a, admin, challenge, code)).code;
      };
      const old = await challengeFor(a, admin, LOAD);
      await a.database.sql("UPDATE step_up_challenge SET created_at = created_at - interval '5 minutes'");
      assert.equal(await answer(old.challenge), 'not_found');
      const guessed = await challengeFor(a, admin, LOAD);
      for (let n = 0; n < 5; n++)
        assert.equal((await answerChallenge(b, admin, guessed.challenge, '00000000')).status, 401);
      assert.equal(await answer(guessed.challenge), 'not_found');
      const used = await challengeFor(a, admin, LOAD);
      assert.equal(await answer(used.challenge), undefined);
      assert.equal(await answer(used.challenge), 'not_found');
    });

    it('is of no use once the session has ended', async () => {
      const session = await signIn(a, admin);
      const proof = await proofFor(a, session, LOAD);
      assert.equal((await a.client.request('POST', '/auth/logout', { headers: session.bearer })).status, 204);
      assert.equal((await withProof(b, session, LOAD, proof)).status, 401);
      assert.equal((await withProof(a, admin, LOAD, proof)).code, 'step_up_required');
    });
  });
});
