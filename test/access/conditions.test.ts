import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compilePolicy } from '#access/access.casbin.ts';
import { type AccessQuestion, holdsName } from '#access/access.ts';
import { parseWhen } from '#access/condition.ts';
import type { AccessContext, Site } from '#access/context-class.ts';
import { addressBits, parseNetwork, zoneFinder } from '#access/network-zone.ts';

const MODEL = readFileSync(new URL('../../policies/model.conf', import.meta.url), 'utf8');
const SITE: Site = {
  timeZone: 'Asia/Shanghai',
  networkZones: { branch: ['10.1.0.0/16', 'fd00:1::/32'], guest: ['10.1.9.0/24'] },
};
const ZONES = new Set(Object.keys(SITE.networkZones));
const ALICE: AccessQuestion = {
  subjects: '|user:usr_1|role:analyst|authenticated|',
  department: 'treasury',
  clearance: 2,
  branch: '上海',
  certifications: '|credit-risk|aml|',
  type: 'model',
  id: 'small',
  classification: 1,
  owner: 'treasury',
  action: 'infer',
};
/** Wednesday, 09:30 in Shanghai. */
const HERE: AccessContext = { at: Date.parse('2026-01-07T09:30:00+08:00'), address: '10.1.2.3', strength: 'password' };

const rule = (when: string, effect = 'allow', name = 'r') =>
  `p, ${name}, role:analyst, model, *, infer, *, 0, ${effect}, ${when}, because`;
async function allows(policy: string, context: Partial<AccessContext> = {}, question: Partial<AccessQuestion> = {}) {
  const engine = await compilePolicy({ version: 1, model: MODEL, policy, sha256: '' }, SITE);
  const ask = () => engine.decide({ ...ALICE, ...question }, { ...HERE, ...context });
  const first = ask();
  assert.deepEqual(ask(), first, 'the same from the cache');
  return first.allowed;
}

describe('conditions on the subject and the resource', () => {
  const holds: [string, boolean][] = [
    ['department in treasury|risk', true],
    ['department in Treasury', false],
    ['department not in risk', true],
    ['branch in 上海', true],
    ['branch in 上海|Bern and department in treasury', true],
    ['branch in Bern and department in treasury', false],
    ['certification in credit-risk', true],
    ['certification in credit', false],
    ['certification in risk|aml', true],
    ['certification not in aml', false],
    ['clearance at least 2', true],
    ['clearance below 2', false],
    ['classification at least 1', true],
    ['classification below 1', false],
    ['owner in own-department', true],
    ['owner in treasury', true],
    ['owner not in own-department', false],
  ];
  for (const [when, expected] of holds)
    it(`${when}: ${expected}`, async () => {
      assert.equal(await allows(rule(when)), expected);
      // A denying rule applies just where an allowing one would.
      assert.equal(await allows(`${rule('')}\n${rule(when, 'deny', 'd')}`), !expected);
    });

  it('takes “Sales and Trading” for one department', async () => {
    assert.equal(await allows(rule('department in Sales and Trading'), {}, { department: 'Sales and Trading' }), true);
    assert.equal(await allows(rule('department in Sales and Trading'), {}, { department: 'Sales' }), false);
  });

  it('a resource that nobody owns is not of somebody’s department, whoever has none', async () => {
    assert.equal(await allows(rule('owner in own-department'), {}, { owner: '', department: '' }), false);
  });

  it('a certification is one name: no text can be two', async () => {
    assert.equal(holdsName('|a|b|', 'a|b'), false);
    assert.equal(holdsName('|a|b|', ''), false);
  });
});

describe('conditions on the context', () => {
  it('hours are those of the bank, on a Wednesday morning in Shanghai and elsewhere', async () => {
    const hours = rule('time in Mon-Fri 08:00-18:00');
    assert.equal(await allows(hours), true);
    assert.equal(await allows(hours, { at: Date.parse('2026-01-07T07:59:59+08:00') }), false);
    assert.equal(await allows(hours, { at: Date.parse('2026-01-07T08:00:00+08:00') }), true);
    assert.equal(await allows(hours, { at: Date.parse('2026-01-07T17:59:59+08:00') }), true);
    assert.equal(await allows(hours, { at: Date.parse('2026-01-07T18:00:00+08:00') }), false);
    assert.equal(await allows(hours, { at: Date.parse('2026-01-10T10:00:00+08:00') }), false, 'a Saturday');
    // 23:30 UTC on Sunday is Monday morning in Shanghai.
    assert.equal(await allows(rule('time in Mon 07:00-08:00'), { at: Date.parse('2026-01-04T23:30:00Z') }), true);
  });

  it('a night goes past midnight, and past the end of the week', async () => {
    const night = rule('time in Fri-Sun 22:00-06:00');
    const at = (text: string) => ({ at: Date.parse(text) });
    assert.equal(await allows(night, at('2026-01-09T23:00:00+08:00')), true);
    assert.equal(await allows(night, at('2026-01-10T05:59:00+08:00')), true);
    assert.equal(await allows(night, at('2026-01-12T05:59:00+08:00')), true, 'Sunday night ends on Monday');
    assert.equal(await allows(night, at('2026-01-12T06:00:00+08:00')), false);
    assert.equal(await allows(night, at('2026-01-09T05:00:00+08:00')), false, 'Friday morning is Thursday night');
  });

  it('networks by name, IPv4 also as IPv6 writes it', async () => {
    const branch = rule('network in branch');
    for (const address of ['10.1.0.0', '10.1.255.255', '::ffff:10.1.2.3', '::FFFF:a01:203', 'fd00:1::9', 'FD00:0001::'])
      assert.equal(await allows(branch, { address }), true, address);
    for (const address of ['10.2.0.0', '10.0.255.255', '::ffff:10.2.0.1', 'fd00:2::', '::1', '1.10.1.2'])
      assert.equal(await allows(branch, { address }), false, address);
    assert.equal(await allows(rule('network in branch and network not in guest'), { address: '10.1.9.7' }), false);
  });

  it('strength from none to phishing-resistant', async () => {
    const strong = rule('strength at least second-factor');
    assert.equal(await allows(strong), false);
    assert.equal(await allows(strong, { strength: 'second-factor' }), true);
    assert.equal(await allows(strong, { strength: 'phishing-resistant' }), true);
    assert.equal(await allows(rule('strength below password'), { strength: 'none' }), true);
  });

  it('what can’t be told lets nobody in: it fails an allowing rule, and meets a denying one', async () => {
    const unknown: Partial<AccessContext>[] = [
      { at: Number.NaN },
      { address: '' },
      { address: '10.1.2' },
      { address: '010.1.2.3' },
      { address: '10.1.2.3 ' },
      { address: 'localhost' },
      { strength: 'strong' as never },
    ];
    for (const context of unknown) {
      const [name] = Object.keys(context);
      const [yes, no] = {
        at: ['time in Mon-Sun 00:00-24:00', 'time not in Sun 03:00-04:00'],
        address: ['network in branch', 'network not in guest'],
        strength: ['strength at least none', 'strength below phishing-resistant'],
      }[name as 'at' | 'address' | 'strength'];
      for (const when of [yes, no]) {
        assert.equal(await allows(rule(String(when)), context), false, `${when} ${JSON.stringify(context)}`);
        assert.equal(await allows(`${rule('')}\n${rule(String(when), 'deny', 'd')}`, context), false, `deny ${when}`);
      }
    }
  });

  it('who asks in another class is decided on anew, who asks in the same one is not', async () => {
    const engine = await compilePolicy(
      { version: 1, model: MODEL, policy: rule('time in Mon-Fri 08:00-18:00 and network in branch'), sha256: '' },
      SITE,
    );
    assert.equal(engine.decide(ALICE, HERE).allowed, true);
    assert.equal(engine.decide(ALICE, { ...HERE, address: '192.168.1.1' }).allowed, false);
    assert.equal(engine.decide(ALICE, { ...HERE, at: HERE.at + 12 * 3600_000 }).allowed, false);
    const here = engine.decide(ALICE, HERE);
    assert.equal(engine.decide(ALICE, { ...HERE, at: HERE.at + 60_000, address: '10.1.7.7' }), here, 'remembered');
  });
});

describe('what does not load', () => {
  const wrong: [string, RegExp][] = [
    ['mood in good', /no attribute “mood”/],
    ['constructor in x', /no attribute/],
    ['network in moon', /no network zone “moon”/],
    ['strength at least strong', /strength is one of/],
    ['department at least 2', /department goes with/],
    ['clearance in 2', /clearance goes with/],
    ['clearance at least 5', /0 to 4/],
    ['clearance at least 2|3', /takes one value/],
    ['department == treasury', /no condition/],
    ['department in *', /no value/],
    ['department in tre*', /no value/],
    ['time in 08:00-18:00', /written like/],
    ['time in Mon-Fri 8:00-18:00', /written like/],
    ['time in Mon-Fri 08:00-25:00', /written like/],
    ['time in Mon 08:00-08:00', /never/],
    ['department in treasury or branch in x and', /no value|no attribute|no condition/],
    ['department in treasury and', /no value/],
    ['department in treasury or network in branch', /no value/],
    ['and', /./],
    ['x'.repeat(401), /at most/],
  ];
  for (const [when, message] of wrong)
    it(when.slice(0, 50), async () => {
      assert.throws(() => parseWhen(when, ZONES), message);
      await assert.rejects(allows(rule(`"${when}"`)), 'a policy with it does not load');
    });

  it('a model that never looks at conditions that its rules have', async () => {
    const blind = MODEL.replace(/ && met\(.*\)$/m, '');
    const text = { version: 1, model: blind, policy: rule('network in branch'), sha256: '' };
    await assert.rejects(compilePolicy(text, SITE), /never looks at/);
  });

  it('networks that are none', () => {
    for (const text of ['10.1.0.0', '10.1.0.1/16', '10.1.0.0/33', 'x/8', '10.1/16', '::/129', '1::2::3/64', '/8'])
      assert.throws(() => parseNetwork(text), RangeError, text);
    assert.throws(() => zoneFinder({ branch: ['10.1.0.1/16'] }), /bits are set/);
    for (const text of ['1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', ':::', '1::2::3', 'g::', '1.2.3.256', '::1.2.3'])
      assert.equal(addressBits(text), null, text);
    assert.equal(addressBits('::1'), 1n);
    assert.equal(addressBits('1:2:3:4:5:6:1.2.3.4'), addressBits('1:2:3:4:5:6:102:304'));
  });
});
