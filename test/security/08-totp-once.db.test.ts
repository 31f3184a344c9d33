import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Item } from '#admission/admission.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { change } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const STEP = 58_000_000;

describe('promise 8: a TOTP code works once', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const withTotp = async (): Promise<Estate> => {
    const estate = await openEstate(cluster);
    await estate.dba.query("UPDATE account SET totp_secret = '\\x00'");
    return estate;
  };
  let refs = 0;
  const signIn = (step: number | null, epoch = 1) =>
    change('session.create', {
      account: 'usr_0',
      epoch,
      ref: `ref ${refs++}`,
      factors: ['password', 'totp'],
      totp_step: step,
      idle_seconds: 60,
      ttl_seconds: 60,
    });
  const challenge = async (estate: Estate, ref: string) => {
    const opened = { ref, account: 'usr_0', session: estate.who.session, digest: 'd', operation: 'o' };
    await estate.gateway(`for ${ref}`).commit([change('step_up.challenge', opened)]);
  };
  const prove = (estate: Estate, ref: string, step: number | null) =>
    change('step_up.prove', {
      ref,
      account: 'usr_0',
      session: estate.who.session,
      totp_step: step,
      proof_ref: `proof ${ref}`,
    });
  const answers = async (estate: Estate, name: string, ...items: Item[]) =>
    (await estate.gateway(name).commit(items)).map(({ verdict, code }) => code ?? verdict);

  it('of 64 tries at once over two gateways, one succeeds', async () => {
    await using estate = await withTotp();
    const ledgers = [estate.gateway('gw_1').ledger, estate.gateway('gw_2').ledger];
    const verdicts = await Promise.all(Array.from({ length: 64 }, (_, n) => ledgers[n % 2]?.submit(signIn(STEP))));
    const codes = Object.groupBy(verdicts, (verdict) => verdict?.code ?? verdict?.verdict ?? '');
    assert.deepEqual([codes['changed']?.length, codes['code_used']?.length], [1, 63]);
    assert.equal(await estate.value('SELECT count(*)::int FROM session'), 2);
    assert.equal(await estate.value('SELECT totp_last_step::int FROM account'), STEP);
    assert.equal(
      await estate.value(
        'SELECT count(*)::int FROM entry WHERE outcome = \'denied\' AND record LIKE \'%"outcome_code":"code_used"%\'',
      ),
      63,
      'each refusal is on the record',
    );
  });

  it('a step before the last one is used up too, the next one is not', async () => {
    await using estate = await withTotp();
    assert.deepEqual(await answers(estate, 'gw', signIn(STEP), signIn(STEP - 1), signIn(STEP), signIn(STEP + 1)), [
      'changed',
      'code_used',
      'code_used',
      'changed',
    ]);
  });

  it('what signed in does not prove, and what proved does not sign in', async () => {
    await using estate = await withTotp();
    await challenge(estate, 'one');
    await challenge(estate, 'two');
    assert.deepEqual(
      await answers(
        estate,
        'gw',
        signIn(STEP),
        prove(estate, 'one', STEP),
        prove(estate, 'one', STEP + 1),
        signIn(STEP + 1),
        prove(estate, 'two', STEP + 1),
      ),
      ['changed', 'code_used', 'changed', 'code_used', 'code_used'],
    );
  });

  it('a code that was needed and not given signs nobody in', async () => {
    await using estate = await withTotp();
    assert.deepEqual(await answers(estate, 'gw', signIn(null), signIn(STEP, 2)), ['code_required', 'account_changed']);
    await estate.dba.query('UPDATE account SET disabled_at = now()');
    assert.deepEqual(await answers(estate, 'gw', signIn(STEP)), ['account_changed']);
    assert.equal(await estate.value('SELECT totp_last_step::int FROM account'), 0);
  });

  it('a challenge survives five wrong codes, is proved once, and belongs to its session and account', async () => {
    await using estate = await withTotp();
    await challenge(estate, 'guessed');
    const wrong = Array.from({ length: 6 }, () => prove(estate, 'guessed', null));
    assert.deepEqual(await answers(estate, 'gw', ...wrong, prove(estate, 'guessed', STEP)), [
      ...Array(5).fill('wrong_code'),
      'challenge_gone',
      'challenge_gone',
    ]);
    await challenge(estate, 'mine');
    const stolen = change('step_up.prove', {
      ref: 'mine',
      account: 'usr_0',
      session: 'another session',
      totp_step: STEP,
      proof_ref: 'x',
    });
    assert.deepEqual(
      await answers(estate, 'gw', stolen, prove(estate, 'mine', STEP), prove(estate, 'mine', STEP + 1)),
      ['challenge_gone', 'changed', 'challenge_gone'],
    );
    await challenge(estate, 'old');
    await estate.dba.query("UPDATE step_up_challenge SET created_at = now() - interval '5 min' WHERE ref = 'old'");
    assert.deepEqual(await answers(estate, 'gw', prove(estate, 'old', STEP + 5)), ['challenge_gone']);
    assert.equal(await estate.value('SELECT totp_last_step::int FROM account'), STEP, 'no code was spent on it');
  });
});
