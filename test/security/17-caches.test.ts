import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { approve, openDriver as open } from '../fakes/driver-desk.ts';

describe('promise 17: what is computed for one user never depends on another', () => {
  const secret = 'The merger with the other bank is announced on Monday; the price is 4.2 billion.';

  it('the same prompt costs a stranger every token, and its author only the last', async () => {
    const { slots, ask, end } = open(1);
    const [slot] = slots;
    assert.ok(slot);
    const cost = async (subject: string) => {
      const before = slot.evaluated.length;
      const usage = await end(ask(secret, { subject }));
      return { computed: slot.evaluated.length - before, cached: usage.cachedTokens };
    };
    assert.deepEqual(await cost('usr_author'), { computed: secret.length, cached: 0 });
    assert.deepEqual(await cost('usr_author'), { computed: 1, cached: secret.length - 1 });
    assert.deepEqual(await cost('usr_stranger'), { computed: secret.length, cached: 0 });
    // And the stranger's visit has wiped what was there.
    assert.deepEqual(await cost('usr_author'), { computed: secret.length, cached: 0 });
  });

  it('whatever prefix a stranger guesses, right or wrong, he pays the same', async () => {
    for (let length = 1; length <= secret.length; length += 7) {
      const { slots, ask, end } = open(1);
      await end(ask(secret, { subject: 'usr_author' }));
      const before = slots[0]?.evaluated.length ?? 0;
      const guess = secret.slice(0, length).padEnd(secret.length, '?');
      await end(ask(guess, { subject: 'usr_stranger' }));
      assert.equal((slots[0]?.evaluated.length ?? 0) - before, secret.length);
    }
  });

  it('nor is anything taken from beside him: not what rests there, not what is being computed or answered there', async () => {
    const long = secret.repeat(4);
    const { slots, ask, end } = open(4);
    const computed = () => slots.reduce((sum, { evaluated }) => sum + evaluated.length, 0);
    await end(ask(long, { subject: 'usr_author' }));
    const ids = [ask(`${long}!`, { subject: 'usr_author', maxTokens: 200 }), ask(long, { subject: 'usr_stranger' })];
    assert.deepEqual(
      (await Promise.all(ids.map(end))).map(({ cachedTokens }) => cachedTokens),
      [long.length, 0],
    );
    assert.equal(computed(), long.length + 1 + long.length);
    // The author himself finds what he said.
    assert.equal((await end(ask(`${long}?`, { subject: 'usr_author' }))).cachedTokens, long.length);
  });

  it('of an approved system prompt a stranger pays only what he adds, wherever he sits and whoever sat there', async () => {
    const approved = 'You answer for the bank, politely and in its own words. '.repeat(4);
    const asked = `${approved}May I?`;
    for (const before of [[], [asked], ['something else altogether'], [asked, 'x'], [secret, asked, secret]]) {
      const costs = { promptToken: 2, answerToken: 7, copy: 5 };
      const { slots, ask, end, now, times } = open(1, { warm: [await approve(approved)] }, costs);
      for (const [at, words] of before.entries()) await end(ask(words, { subject: `usr_${at}` }));
      const [from, since] = [slots[0]?.evaluated.length ?? 0, now()];
      const id = ask(asked, { subject: 'usr_stranger' });
      const { cachedTokens } = await end(id);
      assert.deepEqual([(slots[0]?.evaluated.length ?? 0) - from, cachedTokens], [6, approved.length]);
      assert.equal((times(id)[0] ?? 0) - since, 5 + 6 * 2);
    }
  });

  it('what another user added to an approved prompt is never found again', async () => {
    const approved = 'You answer for the bank. ';
    const { slots, ask, end } = open(1, { warm: [await approve(approved)] });
    const said = approved + secret;
    const cost = async (subject: string) => {
      const before = slots[0]?.evaluated.length ?? 0;
      await end(ask(said, { subject }));
      return (slots[0]?.evaluated.length ?? 0) - before;
    };
    assert.deepEqual([await cost('usr_a'), await cost('usr_a')], [secret.length, 1]);
    assert.equal(await cost('usr_b'), secret.length);
    assert.equal(await cost('usr_a'), secret.length);
  });

  it('a prompt that only begins like an approved one is computed from its first token', async () => {
    const { slots, ask, end } = open(1, { warm: [await approve('You answer for the bank.')] });
    await end(ask('You answer for the bank', { subject: 'usr_a' }));
    await end(ask('You answer for the bank.', { subject: 'usr_b' }));
    assert.equal(slots[0]?.evaluated.length, 23 + 24);
  });

  /** Time to the first token on the counted clock, of many conversations that differ in everything but the guess. */
  async function firstTokenTimes(guesses: 'right' | 'wrong', subject: string): Promise<number[]> {
    const times: number[] = [];
    const random = numbers(17);
    for (let round = 0; round < 200; round++) {
      const [sequences, length, extra] = [1 + random(4), 40 + random(200), random(60)];
      const approved = random(2) === 0 ? '' : 'You answer for the bank, politely. ';
      const warm = approved === '' ? [] : [await approve(approved)];
      const desk = open(sequences, { warm }, { promptToken: 2, answerToken: 7, copy: 5 });
      const words = approved + Array.from({ length }, () => String.fromCodePoint(97 + random(26))).join('');
      for (let at = 0; at < 1 + random(3); at++) await desk.end(desk.ask(words, { subject: 'usr_author' }));
      const guess = guesses === 'right' ? words : approved + words.slice(approved.length).toUpperCase();
      const from = desk.now();
      const id = desk.ask(guess + '?'.repeat(extra), { subject });
      await desk.end(id);
      times.push((desk.times(id)[0] ?? Number.NaN) - from);
    }
    return times;
  }

  it('two hundred strangers wait exactly as long for their first token whether they guess right or wrong', async () => {
    const [right, wrong] = [await firstTokenTimes('right', 'usr_b'), await firstTokenTimes('wrong', 'usr_b')];
    assert.deepEqual(right, wrong);
    assert.ok(new Set(right).size > 100, 'the clock tells nothing apart');
    // The clock can tell: the author himself finds what he said.
    const [own, other] = [await firstTokenTimes('right', 'usr_author'), await firstTokenTimes('wrong', 'usr_author')];
    assert.ok(own.every((time, at) => time < (other[at] ?? 0)));
  });
});

/** The same numbers each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
