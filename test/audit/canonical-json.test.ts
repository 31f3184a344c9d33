import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CanonicalValue, canonicalJson, isCanonicalJson, isStorable } from '#kernel/canonical-json.ts';

describe('canonical JSON (RFC 8785)', () => {
  it('sorts keys by UTF-16 code units: the example of section 3.2.3', () => {
    const keys = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    const order = [...canonicalJson(keys).matchAll(/:"([^"]+)"/g)].map(([, name]) => name);
    assert.deepEqual(order, [
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
    assert.equal(canonicalJson({ 10: 1, 9: 2, a: 3, B: 4 }), '{"10":1,"9":2,"B":4,"a":3}');
  });

  it('escapes what section 3.2.2.2 says and nothing else', () => {
    assert.equal(canonicalJson('\u20ac$\u000f\nA\'B"\\\\"/'), '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"');
    assert.equal(
      canonicalJson('\b\t\n\f\r\u0001\u001f\u007f\u2028\u2029<>&'),
      '"\\b\\t\\n\\f\\r\\u0001\\u001f\u007f\u2028\u2029<>&"',
    );
  });

  it('writes literals, nested values and safe integers in their one spelling', () => {
    assert.equal(
      canonicalJson({ b: [true, false, null, -0, 0, -7, 9007199254740991], a: { d: [], c: {} }, e: undefined }),
      '{"a":{"c":{},"d":[]},"b":[true,false,null,0,0,-7,9007199254740991]}',
    );
  });

  it('refuses what has no one spelling or can not be stored', () => {
    for (const value of [
      0.1,
      1e300,
      2 ** 53,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '\0',
      '\ud800',
      { '\udc00': 1 },
      [['\0']],
    ]) {
      assert.throws(() => canonicalJson(value as CanonicalValue), TypeError);
    }
    assert.deepEqual([isStorable('é😀'), isStorable('\ud83d'), isStorable('a\0')], [true, false, false]);
  });

  it('spells equal values equally, and JSON.parse reads them back', () => {
    let seed = 42;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % n;
    };
    const letters = ['a', 'Z', '"', '\\', '\n', '\u007f', 'é', '€', '\ufb33', '😀', '\u2028', '0'];
    const word = (): string => Array.from({ length: random(5) }, () => letters[random(letters.length)]).join('');
    const make = (depth: number): CanonicalValue => {
      switch (random(depth > 0 ? 6 : 4)) {
        case 0:
          return word();
        case 1:
          return random(2 ** 31) - 2 ** 30;
        case 2:
          return random(2) === 0;
        case 3:
          return null;
        case 4:
          return Array.from({ length: random(4) }, () => make(depth - 1));
        default:
          return Object.fromEntries(Array.from({ length: random(5) }, () => [word(), make(depth - 1)]));
      }
    };
    for (let round = 0; round < 500; round++) {
      const value = make(4);
      const text = canonicalJson(value);
      const back = JSON.parse(text) as CanonicalValue;
      assert.deepEqual(back, value);
      assert.equal(canonicalJson(back), text);
      assert.equal(canonicalJson(reversed(value)), text, 'whatever the order of insertion');
      assert.ok(isCanonicalJson(text, back));
      const other = JSON.stringify(reversed(value));
      assert.equal(isCanonicalJson(other, JSON.parse(other)), other === text);
    }
  });

  it('is told from every other spelling', () => {
    const tell = (text: string) => isCanonicalJson(text, JSON.parse(text) as CanonicalValue);
    for (const text of [
      '{"10":1,"9":2}',
      '{"a":{"b":[{"c":1,"d":"\u2028"}]}}',
      '"\\u0001"',
      '"\\\\u0000"',
      '-7',
      '[]',
    ]) {
      assert.ok(tell(text), text);
    }
    for (const text of [
      '{"b":1,"a":2}',
      '{"a":{"d":1,"c":2}}',
      '[{"b":1,"a":2}]',
      '{"9":1,"10":2}',
      '{"a":1,"a":2}',
      '{"a": 1}',
      '[0.5]',
      '{"a":9007199254740992}',
      '-0',
      '1e3',
      '"\\u0041"',
      '"\\u001F"',
      '"\\/"',
      '"\\u0000"',
      '"\\ud800"',
      '{"\\udc00":1}',
    ]) {
      assert.ok(!tell(text), text);
    }
    assert.ok(!isCanonicalJson('"\ud800"', '\ud800'));
  });
});

function reversed(value: CanonicalValue): CanonicalValue {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(reversed);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, reversed(member as CanonicalValue)]),
  );
}
