import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { filled, whole } from '#engine/child/prefill.ts';
import { openDriver } from '../fakes/driver-desk.ts';
import { until } from './demo.ts';

const prompts = (...lengths: number[]) => lengths.map((left, at) => [String.fromCharCode(97 + at), left] as const);

describe('prompts that nobody waits behind', () => {
  it('are taken in whole, as many as there is room for, and nobody overtakes', () => {
    assert.deepEqual(whole(prompts(40, 50, 30, 5), 128), prompts(40, 50, 30, 5));
    assert.deepEqual(whole(prompts(100, 50, 10), 128), prompts(100));
    assert.deepEqual(whole(prompts(), 128), []);
  });

  it('where they are longer: in few portions, and those alike, in tiles where there is room', () => {
    const taken = (left: number, room: number) => {
      const portions: number[] = [];
      for (let rest = left; rest > 0; rest -= portions.at(-1) ?? rest)
        portions.push(whole(prompts(rest, 7), room)[0]?.[1] ?? 0);
      return portions;
    };
    assert.deepEqual(taken(128, 94), [64, 64]);
    assert.deepEqual(taken(300, 131), [128, 96, 76]);
    assert.deepEqual(taken(268, 134), [128, 96, 44]);
    assert.deepEqual(taken(100, 50), [50, 50]);
    assert.deepEqual(taken(33, 16), [11, 11, 11]);
  });

  it('of any length come in whole in the end, with never more than there is room for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 16, max: 512 }), (left, room) => {
        let steps = 0;
        for (let rest = left; rest > 0; steps++) {
          const [[, taken] = ['', 0]] = whole(prompts(rest), room);
          assert.ok(taken > 0 && taken <= room && taken <= rest);
          rest -= taken;
        }
        const least = room < 64 ? room : room - (room % 32);
        assert.ok(steps <= Math.ceil(left / least), `${steps}`);
      }),
    );
  });

  it('beside answers fill the room that there is, the last one with a piece of it', () => {
    assert.deepEqual(filled(prompts(100, 50, 10), 128), prompts(100, 28));
    assert.deepEqual(filled(prompts(40, 50), 128), prompts(40, 50));
  });
});

it('on the counted clock of a slow machine no step with nothing but prompts is longer than 0.7 s, so that an abort is obeyed', async () => {
  const { slots, ask, end, now } = openDriver(2, {}, { promptToken: 5, answerToken: 25 });
  const times: number[] = [];
  for (const slot of slots) {
    const { onWork } = slot;
    slot.onWork = (prompt, answer) => {
      const before = now();
      onWork(prompt, answer);
      if (prompt > 0) times.push(now() - before);
    };
  }
  await end(ask('first', { maxTokens: 1 }));
  const ids = ['a', 'b'].map((name) => ask(name.repeat(2000), { subject: `usr_${name}`, maxTokens: 1 }));
  await until(() => times.length > 1);
  for (const id of ids) await end(id);
  assert.ok(Math.max(...times) <= 700, `${Math.max(...times)}`);
  // Each prompt for itself: 140 tokens fit into a step, and 128 of those are whole tiles.
  assert.equal(times.length, 1 + 2 * Math.ceil(2000 / 128));
});
