import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatCharacters } from '#engine/grammar/json-format.ts';
import { numberRule } from '#engine/grammar/json-number.ts';
import { patternRule } from '#engine/grammar/json-pattern.ts';

/** What a rule without references matches, as a regular expression. */
function expressionOf(rule: string): RegExp {
  let text = '';
  for (const [token] of rule.matchAll(/"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{[\d,]+\}|[()|?*+]|\s+/g)) {
    if (token.startsWith('"')) text += (JSON.parse(token) as string).replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    else if (token.startsWith('['))
      text += token
        .replaceAll(/\\U([0-9a-f]{8})/g, (_, hex) => `\\u{${Number.parseInt(hex, 16).toString(16)}}`)
        .replaceAll(/\[([-+]+)\]/g, (_, signs: string) => `[${signs.replaceAll('-', '\\-')}]`);
    else if (token.trim() !== '') text += token === '(' ? '(?:' : token;
  }
  return new RegExp(`^(?:${text})$`, 'u');
}
const allows = (rule: string | null, text: string) => expressionOf(rule ?? assert.fail()).test(text);
const refuses = (work: () => unknown, keyword: string) =>
  assert.throws(work, (error: Error) => error.message.includes(`'${keyword}'`));

describe('numbers within bounds', () => {
  const bound = fc.integer({ min: -12_345, max: 12_345 });

  it('are exactly the whole ones in between', () => {
    fc.assert(
      fc.property(bound, bound, fc.boolean(), fc.boolean(), (a, b, above, below) => {
        const [least, most] = [Math.min(a, b), Math.max(a, b) + 2];
        const schema = {
          [above ? 'exclusiveMinimum' : 'minimum']: least,
          [below ? 'exclusiveMaximum' : 'maximum']: most,
        };
        const expression = expressionOf(numberRule(schema, true) ?? '');
        for (const value of [least - 1, least, least + 1, most - 1, most, most + 1, -least, 0, 9, 10, 99, 100, -1]) {
          const isIn = (above ? value > least : value >= least) && (below ? value < most : value <= most);
          assert.equal(expression.test(String(value === 0 ? 0 : value)), isIn, `${value} in ${JSON.stringify(schema)}`);
        }
        for (const text of ['01', '1.0', '1e3', '', '-', '+1', '-0']) assert.ok(!expression.test(text), text);
      }),
    );
    assert.ok(allows(numberRule({ minimum: 0 }, true), '999999999999999'));
    assert.ok(!allows(numberRule({ exclusiveMinimum: 5.5 }, true), '5'));
  });

  it('may have decimals, and never lie outside', () => {
    const decimal = fc.integer({ min: -500, max: 500 }).map((value) => value / 100);
    fc.assert(
      fc.property(
        decimal,
        decimal,
        fc.boolean(),
        fc.boolean(),
        fc.array(fc.double({ min: -6, max: 6, noNaN: true })),
        (a, b, above, below, more) => {
          const [least, most] = [Math.min(a, b), Math.round(Math.max(a, b) * 100 + 25) / 100];
          const schema = {
            [above ? 'exclusiveMinimum' : 'minimum']: least,
            [below ? 'exclusiveMaximum' : 'maximum']: most,
          };
          const expression = expressionOf(numberRule(schema, false) ?? '');
          let found = 0;
          for (const value of [least, most, least + 0.01, most - 0.01, (least + most) / 2, ...more]) {
            for (const text of [String(value), value.toFixed(2), value.toFixed(3), value.toFixed(0)]) {
              if (!expression.test(text)) continue;
              found++;
              const read = JSON.parse(text) as number;
              assert.ok(above ? read > least : read >= least, `${text} in ${JSON.stringify(schema)}`);
              assert.ok(below ? read < most : read <= most, `${text} in ${JSON.stringify(schema)}`);
            }
          }
          assert.ok(found > 0, JSON.stringify(schema));
        },
      ),
    );
    const rate = numberRule({ minimum: 0, maximum: 1 }, false);
    for (const text of ['0', '1', '0.5', '0.123456']) assert.ok(allows(rate, text), text);
    for (const text of ['1.5', '2', '-0.5', '1.0']) assert.ok(!allows(rate, text), text);
  });

  it('are refused where nothing is left, or more is asked than can be said', () => {
    refuses(() => numberRule({ minimum: 3, maximum: 2 }, true), 'maximum');
    refuses(() => numberRule({ minimum: 3.1, maximum: 3.2 }, true), 'maximum');
    refuses(() => numberRule({ minimum: 1, exclusiveMaximum: 1 }, false), 'maximum');
    refuses(() => numberRule({ multipleOf: 0.1 }, false), 'multipleOf');
    refuses(() => numberRule({ minimum: 1e300 }, false), 'minimum');
    refuses(() => numberRule({ minimum: 1e-9 }, false), 'minimum');
    refuses(() => numberRule({ minimum: '1' }, false), 'minimum');
    assert.equal(numberRule({}, true), null);
  });
});

describe('patterns', () => {
  it('mean what the regular expression means', () => {
    const samples = [
      '',
      'A',
      'AB',
      'AB12',
      'ab',
      'ab12',
      '12',
      '2024-01',
      'a-b',
      'x"y',
      'x\\y',
      'GET',
      'POST',
      'a.b',
      'é',
      '你好',
      '_',
      ' ',
    ];
    for (const pattern of [
      '^[A-Z]{2}[0-9]{2}$',
      '^\\d{4}-\\d{2}$',
      '^(GET|POST)$',
      '^[a-z]+(-[a-z]+)?$',
      '^[^0-9]{1,3}$',
      '^\\w+$',
      '^a\\.b$',
      '^x["\\\\]y$',
      '^.{0,2}$',
      '^(?:ab|AB)[0-9]*$',
      '^$',
    ]) {
      const expression = expressionOf(patternRule(pattern).rule);
      for (const sample of samples) {
        const isMatch = new RegExp(pattern, 'u').test(sample);
        assert.equal(expression.test(JSON.stringify(sample).slice(1, -1)), isMatch, `${pattern} on ${sample}`);
      }
    }
    assert.deepEqual([patternRule('^a{2,5}(b|cd)?$').shortest, patternRule('^a{2,5}(b|cd)?$').longest], [2, 7]);
    assert.ok(expressionOf(patternRule('[a-c]{3}').rule).test('abc'), 'without anchors');
  });

  it('are refused where there are several ways to read on, or something else is meant', () => {
    for (const pattern of [
      '^(a+)+$',
      '^a*a*$',
      '^a+ab$',
      '^(a|ab)$',
      '^[a-z]*x$',
      'a|^b',
      '(?=a)b',
      '(?<n>a)\\k<n>',
      '\\bfoo',
      '\\p{L}',
      'a**',
      'a+?',
      '[a',
      'a{999}',
      '[z-a]',
      '(',
      ')',
      `${'('.repeat(50)}a${')'.repeat(50)}`,
    ]) {
      refuses(() => patternRule(pattern), 'pattern');
    }
  });

  it('never break anything', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\^$ab()[\]|*+?{},\\0-9.-]{0,20}$/)), (pattern) => {
        try {
          assert.ok(patternRule(pattern).rule.length < 50_000);
        } catch (error) {
          assert.match((error as Error).message, /'pattern'/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

it('formats hold what they say', () => {
  const good = {
    date: '2024-02-28',
    time: '23:59:59.5Z',
    'date-time': '2024-12-31T00:00:00+01:00',
    uuid: '01234567-89ab-cdef-0123-456789abcdef',
    ipv4: '255.0.10.99',
    email: 'mei.li@bank.example',
    hostname: 'bank.example',
    uri: 'https://bank.example/a/b',
  };
  const bad = {
    date: ['2023-02-29', '2024-13-01', '2024-04-31', '24-01-01'],
    time: ['24:00:00Z', '10:00'],
    ipv4: ['256.1.1.1', '01.1.1.1'],
    uuid: ['x'],
    email: ['a@b', '@b.c'],
  };
  for (const [format, text] of Object.entries(good))
    assert.ok(expressionOf(formatCharacters(format)).test(text), format);
  for (const [format, texts] of Object.entries(bad))
    for (const text of texts) assert.ok(!expressionOf(formatCharacters(format)).test(text), `${format} ${text}`);
  refuses(() => formatCharacters('int64'), 'format');
});
