import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Bound, holdWithin, parseBound } from '#access/bounds.ts';

const bound = (parameter: string, allowed: string, otherwise = 'clamp', name = 'b'): Bound =>
  parseBound({ line: 1, name, subject: 'role:analyst', model: '*', parameter, allowed, otherwise, explanation: '' });

describe('bounds', () => {
  it('clamps where the bound says so, and says what it did', () => {
    const held = holdWithin([bound('temperature', '0.1 to 1.0')], { temperature: 0 });
    assert.ok('changes' in held);
    assert.equal(held.temperature, 0.1);
    assert.deepEqual(held.changes, ['temperature 0 -> 0.1 (b)']);
  });

  it('refuses where it does not, and names the range', () => {
    assert.deepEqual(holdWithin([bound('max_tokens', '1 to 2048', 'refuse')], { max_tokens: 4096 }), {
      parameter: 'max_tokens',
      allowed: '1 to 2048',
      bound: 'b',
    });
  });

  it('leaves alone what is inside, and what nothing bounds', () => {
    const asked = { temperature: 0.5, top_p: 0.9, max_tokens: 100 };
    for (const bounds of [[], [bound('temperature', '0.5 to 0.5'), bound('max_tokens', '1 to 100', 'refuse')]])
      assert.deepEqual(holdWithin(bounds, asked), { ...asked, context: null, changes: [] });
  });

  it('holds what the caller left unsaid within bounds as well, and never refuses that', () => {
    const defaults = { temperature: 1, top_p: 1, max_tokens: 1024 };
    const bounds = [
      bound('temperature', '0.1 to 0.5', 'refuse', 't'),
      bound('top_p', '0.7 to 1', 'refuse', 'p'),
      bound('max_tokens', '1 to 2048', 'refuse', 'm'),
    ];
    const held = holdWithin(bounds, { defaults });
    assert.ok('changes' in held);
    assert.deepEqual([held.temperature, held.top_p, held.max_tokens], [0.5, 1, 1024]);
    assert.deepEqual(held.changes, ['temperature unset -> 0.5 (t)']);
  });

  it('of two the narrower one decides; two that leave nothing between them refuse everything', () => {
    const two = [
      bound('temperature', '0 to 1', 'clamp', 'wide'),
      bound('temperature', '0.2 to 0.4', 'clamp', 'narrow'),
    ];
    const held = holdWithin(two, { temperature: 2 });
    assert.ok('changes' in held && held.temperature === 0.4);
    assert.deepEqual(held.changes, ['temperature 2 -> 0.4 (wide, narrow)']);
    const refusing = [bound('temperature', '0 to 1', 'clamp'), bound('temperature', '0.2 to 0.4', 'refuse', 'strict')];
    assert.ok('bound' in holdWithin(refusing, { temperature: 0.5 }));
    const apart = [bound('temperature', '0 to 0.3'), bound('temperature', '0.5 to 1')];
    for (const temperature of [undefined, 0, 0.4, 1]) assert.ok('bound' in holdWithin(apart, { temperature }));
  });

  it('tools and adapters by name, and prompts by their length', () => {
    const tools = bound('tools', 'search|clock', 'refuse');
    assert.ok('changes' in holdWithin([tools], { tools: ['clock'] }));
    assert.ok('bound' in holdWithin([tools], { tools: ['clock', 'shell'] }));
    const fewer = holdWithin([bound('tools', 'none')], { tools: ['x'] });
    assert.ok('changes' in fewer);
    assert.deepEqual([fewer.tools, fewer.changes], [[], ['tools 1 -> 0 (b)']]);
    // An adapter makes the model that was asked for: it is never left out, whatever the bound says.
    for (const otherwise of ['clamp', 'refuse'] as const) {
      assert.ok('bound' in holdWithin([bound('adapters', 'none', otherwise)], { adapters: ['x'] }));
      assert.ok('changes' in holdWithin([bound('adapters', 'x|y', otherwise)], { adapters: ['x'] }));
    }
    const context = holdWithin([bound('context', '1 to 4096'), bound('context', '1 to 1000')], {});
    assert.ok('changes' in context && context.context === 1000);
  });

  it('whatever is asked: granted values are inside of every bound', () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 20 }), fc.boolean());
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 4 }),
        fc.option(fc.double({ min: 0, max: 2, noNaN: true })),
        (ranges, value) => {
          const bounds = ranges.map(([x, y, clamps], n) =>
            bound(
              'temperature',
              `${Math.min(x, y) / 10} to ${Math.max(x, y) / 10}`,
              clamps ? 'clamp' : 'refuse',
              `b${n}`,
            ),
          );
          const held = holdWithin(bounds, { temperature: value ?? undefined, defaults: { temperature: 0.7 } });
          if (!('changes' in held)) return;
          const granted = held.temperature;
          for (const one of bounds)
            assert.ok('least' in one && granted !== undefined && granted >= one.least && granted <= one.most);
          if (granted !== (value ?? undefined) && value !== null) assert.equal(held.changes.length, 1);
        },
      ),
    );
  });
});
