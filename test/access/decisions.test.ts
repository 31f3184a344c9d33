import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compilePolicy } from '#access/access.casbin.ts';
import { ContextClasses, type Site } from '#access/context-class.ts';
import { DecisionCache } from '#access/decision-cache.ts';
import { explain } from '#access/explanation.ts';
import { parseWindow, weekClock } from '#access/time-window.ts';

const MODEL = readFileSync(new URL('../../policies/model.conf', import.meta.url), 'utf8');
const SITE: Site = {
  timeZone: 'Asia/Shanghai',
  networkZones: { branch: ['10.1.0.0/16', 'fd00:1::/32'], guest: ['10.1.9.0/24'] },
};
const ZONES = new Set(Object.keys(SITE.networkZones));
/** Wednesday, 09:30 in Shanghai. */
const MORNING = Date.parse('2026-01-07T09:30:00+08:00');

const WHENS = [
  '',
  'department in treasury',
  'certification in aml',
  'owner in own-department',
  'clearance at least 2',
  'time in Mon-Fri 08:00-18:00',
  'network in branch',
  'network not in guest and strength at least second-factor',
];
const aRule = fc.record({
  sub: fc.constantFrom('role:analyst', 'role:admin', 'user:usr_1', 'authenticated'),
  type: fc.constantFrom('model', 'service'),
  id: fc.constantFrom('*', 'small', 'big'),
  act: fc.constantFrom('infer', 'model.load'),
  department: fc.constantFrom('*', 'treasury', 'risk'),
  clearance: fc.constantFrom('0', '2', '4'),
  effect: fc.constantFrom('allow', 'allow', 'deny'),
  when: fc.constantFrom(...WHENS),
});
const aQuestion = fc.record({
  subjects: fc.constantFrom(
    '|user:usr_1|role:analyst|authenticated|',
    '|user:usr_2|role:admin|authenticated|',
    '|restricted|',
  ),
  department: fc.constantFrom('treasury', 'risk', ''),
  clearance: fc.integer({ min: 0, max: 4 }),
  branch: fc.constant(''),
  certifications: fc.constantFrom('', '|aml|'),
  type: fc.constantFrom('model', 'service'),
  id: fc.constantFrom('small', 'big', '*'),
  classification: fc.integer({ min: 0, max: 3 }),
  owner: fc.constantFrom('', 'treasury'),
  action: fc.constantFrom('infer', 'model.load'),
});
const aContext = fc.record({
  at: fc.integer({ min: MORNING, max: MORNING + 7 * 86_400_000 }),
  address: fc.constantFrom('10.1.2.3', '10.1.9.1', '8.8.8.8', ''),
  strength: fc.constantFrom('none' as const, 'password' as const, 'second-factor' as const),
});

describe('whatever the policy', () => {
  it('found by index, tried one by one, and explained: the same answer', async () => {
    // The same matcher in another spelling: rules can not be found by it, all are tried.
    const slow = MODEL.replace('same(r.act, p.act)', 'same(p.act, r.act)');
    await fc.assert(
      fc.asyncProperty(
        fc.array(aRule, { minLength: 1, maxLength: 8 }),
        aQuestion,
        aContext,
        async (rules, ask, context) => {
          const policy = rules
            .map(
              (r, n) =>
                `p, r${n}, ${r.sub}, ${r.type}, ${r.id}, ${r.act}, ${r.department}, ${r.clearance}, ${r.effect}, ${r.when}, x`,
            )
            .join('\n');
          const [indexed, tried] = await Promise.all(
            [MODEL, slow].map((model) => compilePolicy({ version: 1, model, policy, sha256: '' }, SITE)),
          );
          const decision = indexed?.decide(ask, context);
          assert.ok(decision);
          assert.equal(decision.allowed, tried?.decide(ask, context).allowed);
          const facts = new ContextClasses([], SITE).factsOf(context);
          const applying = explain(policy, ask, facts, decision, ZONES).rules.filter(({ applies }) => applies);
          const explained =
            applying.some(({ effect }) => effect === 'allow') && !applying.some(({ effect }) => effect === 'deny');
          assert.equal(explained, decision.allowed);
          if (decision.rule !== null) assert.ok(applying.some((one) => one.rule === decision.rule));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a minute of the week is in a window just where the clock says so', () => {
    const clock = weekClock('UTC');
    const spans = parseWindow('Tue-Thu 09:15-17:45');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7 * 1440 - 1 }), (minute) => {
        // Monday, 5 January 2026.
        const found = clock(Date.UTC(2026, 0, 5) + minute * 60_000);
        assert.equal(found?.minute, minute);
        const [day, time] = [Math.floor(minute / 1440), minute % 1440];
        const inside = day >= 1 && day <= 3 && time >= 9 * 60 + 15 && time < 17 * 60 + 45;
        assert.equal(
          spans.some(({ start, end }) => start <= minute && minute < end),
          inside,
        );
      }),
    );
  });

  it('remembers a bounded number of decisions, whatever is asked', () => {
    const cache = new DecisionCache();
    const decision = { allowed: true, policyVersion: 1, rule: 'r', conditions: null };
    cache.set('kept', decision);
    for (let n = 0; n < 100_000; n++) {
      cache.set(`k${n}`, decision);
      if (n % 1000 === 0) assert.ok(cache.get('kept'), 'what is asked again lives on');
    }
    assert.ok(cache.size <= 40_000, String(cache.size));
    cache.set('x'.repeat(2001), decision);
    assert.equal(cache.get('x'.repeat(2001)), undefined);
  });
});
