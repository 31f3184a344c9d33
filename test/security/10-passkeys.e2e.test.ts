import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Lies, SoftAuthenticator } from '../fakes/authenticator.ts';
import { freePort } from '../harness/free-port.ts';
import { TestGateway } from '../harness/gateway.ts';
import { type Answer, HttpsClient } from '../harness/https-client.ts';
import {
  assertionFor,
  creationOptions,
  enter,
  finish,
  type KeyHolder,
  keyProof,
  prove,
  register,
  signInOptions,
  withPasskey,
} from '../identity/passkey-people.ts';
import {
  challengeFor,
  firstAdmin,
  forgetGuesses,
  newPerson,
  type Operation,
  type Person,
  proofFor,
  withProof,
} from '../identity/people.ts';

/** What a page, an authenticator or somebody between them may say that is not so. */
const LIES: Readonly<Record<string, Lies>> = {
  'another page': { origin: 'https://localhost:1' },
  'a page without TLS': { origin: 'http://localhost' },
  'another host': { rpId: 'evil.test' },
  'a host below ours': { rpId: 'sub.localhost' },
  'another purpose': { type: 'webauthn.create' },
  'a frame of another site': { crossOrigin: true },
  'a user who was not verified': { unverified: true },
  'a user who was not there': { absent: true },
  'a key that is not the registered one': { forged: true },
  'the handle of another user': { userHandle: Buffer.from('usr_0').toString('base64url') },
};
const LOAD: Operation = { method: 'POST', path: '/admin/models/one/load' };
const LOAD_TWO: Operation = { method: 'POST', path: '/admin/models/two/load' };

describe('promises 9 and 10 with a passkey', () => {
  let a: TestGateway;
  let b: TestGateway;
  /** The second replica behind the same address: what it says of itself is where the first one is. */
  let second: HttpsClient;
  let holder: KeyHolder;
  let other: KeyHolder;

  before(async () => {
    const upstream = { upstream: { url: 'http://127.0.0.1:9', model: 'none' } };
    const models = { one: upstream, two: upstream };
    a = await TestGateway.open({ models });
    const port = await freePort();
    b = await a.replica({ models, http: { port, publicUrl: a.url } });
    second = new HttpsClient(port, a.authority);
    const admin = await firstAdmin(a);
    const make = async (username: string) => withPasskey(a, await newPerson(a, admin, { username, roles: ['admin'] }));
    [holder, other] = [await make('holder'), await make('other')];
  });
  after(async () => {
    second[Symbol.dispose]();
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(a));

  const sessions = async () => Number((await a.database.sql('SELECT count(*) FROM session'))[0]?.['count']);
  const lastCode = async (action: string, outcome = 'denied'): Promise<Record<string, unknown>> => {
    const [row] = await a.database.sql<{ record: string }>(
      'SELECT record FROM entry WHERE action = $1 AND outcome = $2 ORDER BY seq DESC LIMIT 1',
      [action, outcome],
    );
    return JSON.parse(row?.record ?? '{}').event;
  };
  const refused = (answer: Answer) =>
    assert.deepEqual([answer.status, answer.code], [401, 'invalid_credentials'], answer.text);
  const isDenied = async (action: string, code: string) => {
    // Refusals are recorded behind their answers; a later change is not before them.
    for (;;) {
      const event = await lastCode(action);
      if (event['outcome_code'] === code) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  describe('at the sign-in', () => {
    for (const [what, lie] of Object.entries(LIES))
      it(`refuses ${what}`, async () => {
        const before = await sessions();
        refused(await finish(a.client, holder.device.get(await signInOptions(a.client, holder), lie)));
        assert.equal(await sessions(), before);
      });

    it('refuses a challenge of its own making, one of another purpose, and one after five minutes', async () => {
      const options = await signInOptions(a.client, holder);
      refused(await finish(a.client, holder.device.get(options, { challenge: 'B'.repeat(43) })));
      await isDenied('session.create', 'challenge_gone');
      const { challenge } = await creationOptions(a, holder, await keyProof(a, holder, REGISTER));
      refused(await finish(a.client, holder.device.get({ ...options, challenge })));
      const confirming = holder.device.get(await signInOptions(a.client, holder));
      await a.database.sql("UPDATE webauthn_challenge SET purpose = 'confirm'");
      refused(await finish(a.client, confirming));
      const late = holder.device.get(await signInOptions(a.client, holder));
      await a.database.sql("UPDATE webauthn_challenge SET created_at = created_at - interval '301 seconds'");
      refused(await finish(a.client, late));
    });

    it('refuses the passkey of another user', async () => {
      refused(await finish(a.client, other.device.get(await signInOptions(a.client, holder))));
      await isDenied('session.create', 'unknown_passkey');
    });

    it('refuses an authenticator that counts backwards or stands still, and takes one that never counts', async () => {
      holder = await enter(a, holder);
      const now = holder.device.count;
      for (const count of [now, now - 1, 0]) {
        refused(await finish(a.client, holder.device.get(await signInOptions(a.client, holder), { count })));
        await isDenied('session.create', 'counter_regressed');
        await forgetGuesses(a);
      }
      holder.device.count = now;
      holder = await enter(a, holder);
      await a.database.sql('UPDATE passkey SET sign_count = 0 WHERE account_id = $1', [other.subject]);
      const silent = async () => finish(a.client, other.device.get(await signInOptions(a.client, other), { count: 0 }));
      assert.deepEqual([(await silent()).status, (await silent()).status], [200, 200]);
    });

    it('opens one session with one answer: 16 at once over two replicas, and none afterwards', async () => {
      const before = await sessions();
      const assertion = holder.device.get(await signInOptions(second, holder));
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, n) => finish(n % 2 ? a.client : second, assertion)),
      );
      assert.equal(answers.filter(({ status }) => status === 200).length, 1);
      assert.equal(await sessions(), before + 1);
      refused(await finish(second, assertion));
      await isDenied('session.create', 'challenge_gone');
    });

    it('of two copies of one authenticator that count alike one signs in', async () => {
      const [one, two] = [await signInOptions(a.client, holder), await signInOptions(second, holder)];
      const count = holder.device.count + 1;
      const answers = await Promise.all([
        finish(a.client, holder.device.get(one, { count })),
        finish(second, holder.device.get(two, { count })),
      ]);
      assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 401]);
    });

    it('asks for the password first: the same answer for a wrong one and for a name that nobody has', async () => {
      const ask = (username: string) =>
        a.client.post('/auth/webauthn/sign-in/options', { username, password: 'not the password' });
      const [known, unknown] = [await ask('holder'), await ask('nobody-at-all')];
      refused(known);
      const without = ({ text }: Answer) => text.replace(/req_[0-9a-f]+/g, '');
      assert.equal(without(known), without(unknown));
    });

    it('counts wrong passwords and wrong answers as guesses, with those of every other sign-in', async () => {
      const ask = () => second.post('/auth/webauthn/sign-in/options', { username: 'holder', password: 'wrong one' });
      for (let n = 0; n < 3; n++) refused(await ask());
      const options = await signInOptions(a.client, holder);
      refused(await finish(a.client, holder.device.get(options, { forged: true })));
      const { username } = holder;
      refused(await a.client.post('/auth/login', { username, password: 'wrong as well' }));
      assert.equal((await ask()).code, 'too_many_attempts');
      assert.equal(
        (await a.client.post('/auth/webauthn/sign-in/options', { username, password: holder.password })).code,
        'too_many_attempts',
      );
    });

    it('does not count a password that is right, so that a dialog may be cancelled', async () => {
      for (let n = 0; n < 8; n++) await signInOptions(a.client, holder);
      holder = await enter(a, holder);
    });

    it('refuses an answer to a challenge of before the password was changed', async () => {
      const open = holder.device.get(await signInOptions(a.client, holder));
      await a.database.sql('UPDATE account SET epoch = epoch + 1 WHERE id = $1', [holder.subject]);
      refused(await finish(a.client, open));
      holder = await enter(a, holder);
    });

    it('a session without the key is useless: the password alone opens none', async () => {
      const { username, password } = holder;
      assert.equal((await a.client.post('/auth/login', { username, password })).code, 'code_required');
    });
  });

  describe('at a step-up', () => {
    for (const [what, lie] of Object.entries(LIES))
      it(`refuses ${what}`, async () => {
        const { challenge } = await challengeFor(a, holder, LOAD);
        refused(await prove(a.client, holder, challenge, await assertionFor(a, holder, challenge, lie)));
        assert.equal((await lastCode('step_up.prove'))['outcome_code'], 'wrong_code');
      });

    it('an answer for one operation is none for another', async () => {
      const one = await challengeFor(a, holder, LOAD);
      const two = await challengeFor(a, holder, LOAD_TWO);
      const assertion = await assertionFor(a, holder, one.challenge);
      refused(await prove(a.client, holder, two.challenge, assertion));
      // Not even where the challenge is the same and the operation behind it another.
      await a.database.sql('UPDATE step_up_challenge SET digest = $1 WHERE operation = $2', [
        '0'.repeat(64),
        one.operation,
      ]);
      refused(await prove(a.client, holder, one.challenge, assertion));
    });

    it('the proof is good for its own operation alone, and once', async () => {
      const proof = await keyProof(a, holder, LOAD);
      assert.equal((await withProof(a, holder, LOAD_TWO, proof)).code, 'step_up_required');
      assert.equal((await withProof(a, holder, LOAD, proof)).status, 202);
      assert.equal((await withProof(a, holder, LOAD, proof)).code, 'step_up_required');
    });

    it('one answer makes one proof: four at once over two replicas', async () => {
      const { challenge } = await challengeFor(a, holder, LOAD);
      const assertion = await assertionFor(a, holder, challenge);
      const answers = await Promise.all(
        Array.from({ length: 4 }, (_, n) => prove(n % 2 ? a.client : second, holder, challenge, assertion)),
      );
      assert.equal(answers.filter(({ status }) => status === 200).length, 1, answers.map(({ text }) => text).join());
    });

    it('refuses the passkey of another user, and that of a sign-in', async () => {
      const { challenge } = await challengeFor(a, holder, LOAD);
      const options = await a.client.post('/auth/webauthn/step-up', { challenge }, holder.bearer);
      refused(await prove(a.client, holder, challenge, other.device.get(options.json())));
      assert.equal((await lastCode('step_up.prove'))['reason'], 'unknown_passkey');
      refused(await prove(a.client, holder, challenge, holder.device.get(await signInOptions(a.client, holder))));
    });

    it('refuses a counter that stands still', async () => {
      await keyProof(a, holder, LOAD);
      const { count } = holder.device;
      const { challenge } = await challengeFor(a, holder, LOAD);
      refused(await prove(a.client, holder, challenge, await assertionFor(a, holder, challenge, { count })));
      assert.equal((await lastCode('step_up.prove'))['reason'], 'counter_regressed');
    });

    it('tells and takes nothing in another session', async () => {
      const { challenge } = await challengeFor(a, holder, LOAD);
      const assertion = await assertionFor(a, holder, challenge);
      const thief = await enter(a, { ...holder });
      assert.equal((await a.client.post('/auth/webauthn/step-up', { challenge }, thief.bearer)).status, 404);
      assert.equal((await prove(a.client, thief, challenge, assertion)).status, 404);
      assert.equal((await prove(a.client, other, challenge, assertion)).status, 404);
      assert.equal((await prove(a.client, holder, challenge, assertion)).status, 401, 'its counter is behind by now');
    });

    it('after five minutes the challenge is over', async () => {
      const { challenge } = await challengeFor(a, holder, LOAD);
      const assertion = await assertionFor(a, holder, challenge);
      await a.database.sql("UPDATE step_up_challenge SET created_at = created_at - interval '301 seconds'");
      assert.equal((await prove(a.client, holder, challenge, assertion)).status, 404);
    });

    it('five false answers end a challenge, and lock the account’s step-ups', async () => {
      const { challenge } = await challengeFor(a, holder, LOAD);
      for (let n = 0; n < 5; n++)
        refused(await prove(a.client, holder, challenge, await assertionFor(a, holder, challenge, { forged: true })));
      assert.equal((await a.client.post('/auth/webauthn/step-up', { challenge }, holder.bearer)).status, 404);
      const next = await challengeFor(a, holder, LOAD);
      const assertion = await assertionFor(a, holder, next.challenge);
      assert.equal((await prove(a.client, holder, next.challenge, assertion)).code, 'too_many_attempts');
    });

    it('who has both may show either; what a code can’t do here, the passkey does', async () => {
      const admin = await firstAdmin(a);
      const device = new SoftAuthenticator(a.url);
      const options = await creationOptions(a, admin, await proofFor(a, admin, REGISTER));
      assert.equal((await register(a.client, admin, device.create(options))).status, 201);
      const both: Person & KeyHolder = { ...(await firstAdmin(a)), device };
      const asked = await a.client.request('POST', LOAD.path, { headers: both.bearer });
      assert.equal(
        asked.headers['www-authenticate'],
        'Bearer error="insufficient_user_authentication", acr_values="urn:strongroom:acr:phr urn:strongroom:acr:otp", max_age="0"',
      );
      assert.equal(asked.json()['factors'], 'passkey totp');
      assert.equal((await withProof(a, both, LOAD, await proofFor(a, both, LOAD))).status, 202);
      assert.equal((await withProof(a, both, LOAD, await keyProof(a, both, LOAD))).status, 202);
    });

    it('no code opens an account that has no authenticator app', async () => {
      const { challenge } = await challengeFor(a, holder, LOAD);
      refused(await a.client.post('/auth/step-up', { challenge, code: '123456' }, holder.bearer));
    });
  });
});

const REGISTER: Operation = { method: 'POST', path: '/auth/webauthn/register/options', body: {} };
