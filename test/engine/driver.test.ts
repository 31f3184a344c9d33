import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHUNK, openDriver as open } from '../fakes/driver-desk.ts';
import { until } from './demo.ts';

describe('the lock-step driver', () => {
  it('while a prompt of 4,000 tokens comes in, who generates gets his token every round, and no round is longer than a portion', async () => {
    const { slots, sent, rounds, ask, end } = open(2);
    const streaming = ask('short', { maxTokens: 400 });
    await until(() => rounds.length > 3);
    const from = rounds.length;
    const newcomer = ask('n'.repeat(4000), { subject: 'usr_b' });
    await end(newcomer);
    const after = rounds.slice(from).map((evaluated) => evaluated[1] ?? 0);
    const portions = after.map((total, at) => total - (after[at - 1] ?? 0)).filter((tokens) => tokens > 0);
    assert.equal(
      portions.reduce((sum, tokens) => sum + tokens, 0),
      4000,
    );
    assert.ok(Math.max(...portions) <= CHUNK, `a portion of ${Math.max(...portions)}`);
    assert.ok(portions.length >= 4000 / CHUNK);
    // One token for him in each of those rounds: the gap between his tokens is one round, always.
    const his = sent.filter((message) => message.t === 'deltas' && message.items.some(([id]) => id === streaming));
    const allRounds = sent.filter((message) => message.t === 'deltas');
    const upTo = allRounds.findIndex(
      (message) => message.t === 'deltas' && message.items.some(([id]) => id === newcomer),
    );
    assert.deepEqual(his.slice(0, upTo), allRounds.slice(0, upTo));
    assert.equal(slots.length, 2);
  });

  for (const [pace, costs] of [
    ['a slow machine', { promptToken: 3, answerToken: 80 }],
    ['a fast one', { promptToken: 0.1, answerToken: 4 }],
    ['one that answers as fast as it reads', { promptToken: 1, answerToken: 20 }],
  ] as const)
    it(`on the counted clock of ${pace} nobody’s gap is over twice the median while that prompt comes in`, async () => {
      const { ask, end, times } = open(2, {}, costs);
      const streaming = ask('short', { maxTokens: 8000 });
      await until(() => times(streaming).length > 20);
      const before = times(streaming).length;
      const newcomer = ask('n'.repeat(4000), { subject: 'usr_b' });
      await end(newcomer);
      const gaps = times(streaming).map((time, at, all) => time - (all[at - 1] ?? 0));
      const median = gaps.slice(1, before).toSorted((a, b) => a - b)[Math.floor(before / 2)] ?? 0;
      const most = Math.max(...gaps.slice(before));
      assert.ok(gaps.length - before > 4000 / CHUNK, 'the prompt came in at once');
      assert.ok(most > median, 'the prompt took no time');
      assert.ok(most <= 2 * median, `${most} against a median of ${median}`);
    });

  it('more under way than a batch may have take turns, nobody twice before everybody once', async () => {
    const { sent, ask, end } = open(5, { maxBatchSize: 2 });
    const ids = ['a', 'b', 'c', 'd', 'e'].map((name) => ask(name, { subject: `usr_${name}`, maxTokens: 20 }));
    for (const id of ids) await end(id);
    const batches = sent.flatMap((message) => (message.t === 'deltas' ? [message.items.map(([id]) => id)] : []));
    assert.ok(batches.every((batch) => batch.length <= 2));
    const told = new Map(ids.map((id) => [id, 0]));
    for (const batch of batches.slice(0, 40)) {
      for (const id of batch) told.set(id, (told.get(id) ?? 0) + 1);
      const counts = [...told.values()];
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`);
    }
  });

  it('several prompts at once share the portion: together they are no longer than it', async () => {
    const { rounds, ask, end } = open(4);
    ask('short', { maxTokens: 400 });
    await until(() => rounds.length > 1);
    const from = rounds.length;
    const newcomers = ['b', 'c', 'd'].map((name) => ask(name.repeat(600), { subject: `usr_${name}` }));
    for (const id of newcomers) await end(id);
    const totals = rounds.slice(from).map((evaluated) => evaluated.slice(1).reduce((sum, tokens) => sum + tokens, 0));
    const most = Math.max(...totals.map((total, at) => total - (totals[at - 1] ?? 0)));
    assert.ok(most <= CHUNK, `${most}`);
  });

  it('an abort during a prompt is obeyed after the portion that is being computed', async () => {
    const { driver, slots, sent, ask } = open(1);
    const [slot] = slots;
    assert.ok(slot);
    let id = 0;
    let portions = 0;
    slot.onPortion = () => {
      if (++portions === 3) driver.cancel(id);
    };
    id = ask('n'.repeat(4000));
    await until(() => sent.some((message) => message.t === 'cancelled' && message.id === id));
    assert.equal(portions, 3);
    assert.ok(slot.evaluated.length < 4000);
  });

  it('a token leaves when the next one is being computed, the last one before the word that it was the last', async () => {
    const { sent, batches, ask, end } = open(1);
    const id = ask('x', { maxTokens: 3 });
    await end(id);
    assert.deepEqual(
      sent.map(({ t }) => t),
      ['started', 'deltas', 'deltas', 'deltas', 'finished'],
    );
    // None of it before the second batch has begun.
    assert.deepEqual(batches, [1, 1, 2]);
  });

  it('what waits for credit has said all that was paid for', async () => {
    const { driver, sent, ask, end } = open(1);
    const id = ask('xx', { credit: 4 });
    await until(() => sent.some(({ t }) => t === 'starved'));
    await until(() => sent.filter(({ t }) => t === 'deltas').length === 2);
    driver.extend(id, 100, true);
    await end(id);
  });

  it('one that breaks ends alone; where nothing can be computed all of that batch end, and the next ones are answered', async () => {
    const { slots, sent, broken, ask, end, times } = open(2, { report: () => {} });
    const first = ask('a', { maxTokens: 400 });
    const second = ask('b', { maxTokens: 40, subject: 'usr_b' });
    await until(() => times(first).length > 3);
    const [slot, other] = slots;
    assert.ok(slot && other);
    broken.add(slot);
    const failed = () => sent.flatMap((message) => (message.t === 'failed' ? [message.id] : []));
    await until(() => failed().length > 0);
    assert.deepEqual(failed(), [first]);
    await end(second);
    broken.clear();
    const more = ['c', 'd'].map((name) => ask(name, { maxTokens: 400, subject: `usr_${name}` }));
    await until(() => more.every((id) => times(id).length > 3));
    slot.onWork = other.onWork = () => {
      throw new Error('Eval has failed');
    };
    await until(() => failed().length === 3);
    slot.onWork = other.onWork = () => {};
    await end(ask('e'));
  });
});

describe('where a conversation lies', () => {
  const words = 'A conversation that is worth to be found again, since it is long enough for that.';

  it('it rests as long as there is another place, and goes on where it lies', async () => {
    const { slots, ask, end } = open(3);
    await end(ask(words, { subject: 'usr_a' }));
    for (const name of ['b', 'c']) await end(ask(words, { subject: `usr_${name}` }));
    const { cachedTokens } = await end(ask(`${words} And?`, { subject: 'usr_a' }));
    assert.equal(cachedTokens, words.length);
    // Then the one goes that was left longest ago.
    await end(ask(words, { subject: 'usr_d' }));
    assert.equal((await end(ask(words, { subject: 'usr_a' }))).cachedTokens, words.length - 1);
    assert.equal((await end(ask(words, { subject: 'usr_b' }))).cachedTokens, 0);
    assert.equal(slots.length, 3);
  });

  describe('several of one user that begin alike', () => {
    const beginning = 'The rules of the house, which every conversation of this user has to begin with. '.repeat(8);
    const computed = (slots: readonly { evaluated: readonly number[] }[]) =>
      slots.reduce((sum, { evaluated }) => sum + evaluated.length, 0);

    it('at once: what they have in common is computed once', async () => {
      const { slots, ask, end } = open(4);
      const ids = ['a', 'b', 'c', 'd'].map((name) => ask(`${beginning}${name}?`));
      const usages = await Promise.all(ids.map(end));
      assert.equal(computed(slots), beginning.length + 4 * 2);
      assert.deepEqual(
        usages.map(({ cachedTokens }) => cachedTokens),
        [0, beginning.length, beginning.length, beginning.length],
      );
    });

    it('one while another is answered: it is taken from there', async () => {
      const { slots, ask, end, sent } = open(2);
      const streaming = ask(`${beginning}a`, { maxTokens: 400 });
      await until(() => sent.some((message) => message.t === 'deltas'));
      assert.equal((await end(ask(`${beginning}b`))).cachedTokens, beginning.length);
      assert.equal(computed(slots), beginning.length + 2);
      await end(streaming);
    });

    it('who waits for one that is called off computes it himself, and who is called off while he waits is told', async () => {
      const { driver, slots, ask, end, sent } = open(3);
      const [first, second, third] = ['a', 'b', 'c'].map((name) => ask(`${beginning}${name}`)) as [
        number,
        number,
        number,
      ];
      const [slot] = slots;
      assert.ok(slot);
      slot.onPortion = () => {
        driver.cancel(first);
        driver.cancel(third);
      };
      assert.ok((await end(second)).cachedTokens < beginning.length);
      assert.deepEqual(sent.flatMap((message) => (message.t === 'cancelled' ? [message.id] : [])).sort(), [
        first,
        third,
      ]);
    });

    it('a short beginning is computed anew: a copy would take longer', async () => {
      const { ask, end } = open(2);
      const ids = ['a', 'b'].map((name) => ask(`${beginning.slice(0, 100)}${name}`));
      assert.deepEqual(
        (await Promise.all(ids.map(end))).map(({ cachedTokens }) => cachedTokens),
        [0, 0],
      );
    });
  });

  it('who comes while others are answered sits beside them, in the lowest place', async () => {
    const { slots, ask, end } = open(8);
    const ids = ['a', 'b', 'c', 'd'].map((name) => ask(name.repeat(10), { subject: `usr_${name}`, maxTokens: 50 }));
    for (const id of ids) await end(id);
    assert.deepEqual(
      slots.map(({ evaluated }) => evaluated.length > 0),
      [true, true, true, true, false, false, false, false],
    );
  });

  it('an answer that does not fit its schema in the end is an error, also where the grammar let it pass', async () => {
    const { ask, sent } = open(2);
    const schema = { type: 'integer' };
    const [bad, good] = [ask('a', { stop: ['xx'], schema }), ask('b', { stop: ['xx'] })];
    await until(() => sent.filter(({ t }) => t === 'failed' || t === 'finished').length === 2);
    const ends = sent.filter((message) => message.t === 'failed' || message.t === 'finished');
    assert.deepEqual(ends.map(({ t, id }) => [t, id]).sort(), [
      ['failed', bad],
      ['finished', good],
    ]);
    assert.match(JSON.stringify(ends), /does not fit the schema/);
  });
});
