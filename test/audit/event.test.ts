import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AuditEvent, recordAndRefusal, recordText } from '#audit/event.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';

const EVENT: AuditEvent = {
  kind: 'intent',
  actor: 'usr_1',
  action: 'infer',
  resource: 'model:demo',
  outcome: 'admitted',
  request: 'req_1',
};

/** As `commit_batch` cuts it: characters, not UTF-16 units. */
function refused(event: AuditEvent, code: string): string {
  const { record, refusal } = recordAndRefusal(event, 'denied', 'denial');
  const text = Array.from(record.event);
  const [kind, outcome, begin, rest] = refusal.places;
  const cut = (from: number, to?: number) => text.slice(from, to).join('');
  return (
    cut(0, kind) +
    refusal.kind +
    cut(kind + record.kind.length, outcome) +
    refusal.outcome +
    cut(outcome + record.outcome.length, begin) +
    `,"outcome_code":"${code}"` +
    cut(rest)
  );
}

describe('the bytes of an event', () => {
  const facts: Record<string, AuditEvent['facts']> = {
    none: {},
    'before, between and behind the columns': {
      zone: 'eu',
      address: '::1',
      note: 1,
      outcomes: 2,
      aa: [1, { b: 2, a: null }],
    },
    'made in another order': { note: 1, aa: 'x', zone: 'eu' },
    'outside the basic plane': { address: '\u{1f600}', m: '\u{1f600}', outcome_a: '\u{1f600}', z: '\u{1f600}' },
    'that are not there': { aa: undefined, n: undefined, zz: undefined },
    'with the name of a column, which wins': {
      actor: 'somebody else',
      kind: 'change',
      outcome_code: 'none',
      zone: 'eu',
    },
  };
  for (const [what, more] of Object.entries(facts)) {
    for (const [code, own] of [
      [undefined, {}],
      ['late', { outcome_code: 'late' }],
    ] as const) {
      it(`are its canonical JSON: facts ${what}${code === undefined ? '' : ', and a code'}`, () => {
        const event: AuditEvent = { ...EVENT, ...own, ...(more === undefined ? {} : { facts: more }) };
        const { facts: _, ...columns } = event;
        const shadowed = { ...more, ...columns, outcome_code: code };
        assert.equal(recordAndRefusal(event, 'denied').record.event, canonicalJson(shadowed));
        assert.equal(
          refused(event, 'quota'),
          canonicalJson({ ...shadowed, kind: 'denial', outcome: 'denied', outcome_code: 'quota' }),
        );
        if (code !== undefined || more === undefined || !('outcome_code' in more))
          assert.equal(recordAndRefusal(event, 'denied').record.event, recordText(event).event);
      });
    }
  }

  it('are refused where they are too long, in either form', () => {
    assert.throws(() => recordAndRefusal({ ...EVENT, facts: { text: 'x'.repeat(70_000) } }, 'denied'), TypeError);
  });
});
