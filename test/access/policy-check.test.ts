import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compilePolicy } from '#access/access.casbin.ts';
import { runCases } from '#access/policy-cases.ts';
import { checkPolicy, hasErrors } from '#access/policy-check.ts';
import { diffFacts, diffPolicies } from '#access/policy-diff.ts';
import { parsePolicy, splitCells } from '#access/policy-text.ts';
import { ACTIONS } from '#access/vocabulary.ts';
import { recordText } from '#audit/event.ts';
import { PUBLIC } from '#http/route.ts';
import { sha256Hex } from '#kernel/id.ts';
import { declaredRoutes } from '../harness/route-table.ts';

const read = (path: string): string => readFileSync(new URL(`../../policies/${path}`, import.meta.url), 'utf8');
const [MODEL, POLICY] = [read('model.conf'), read('policy.csv')];
const AROUND = { zones: new Set(['branch']), models: new Set(['demo', 'qwen']) };
const GOOD = 'p, good, role:analyst, model, *, infer, *, 0, allow, , Analysts ask models.';
const check = (policy: string, model = MODEL) => checkPolicy({ model, policy }, AROUND);
const messages = (policy: string) =>
  check(policy).map(({ severity, line, rule, message }) => `${severity} ${line} ${rule}: ${message}`);

describe('the shipped policy', () => {
  it('has nothing wrong with it', () => {
    assert.deepEqual(check(POLICY), []);
  });

  it('does what its table of cases says, and every rule of it is shown by one', async () => {
    const engine = await compilePolicy(
      { version: 1, model: MODEL, policy: POLICY, sha256: '' },
      { timeZone: 'UTC', networkZones: {} },
    );
    const { passed, failed, untested } = runCases(
      read('tests.csv'),
      engine,
      parsePolicy(POLICY).rules.map(({ name }) => name),
    );
    assert.deepEqual(failed, []);
    assert.deepEqual(untested, []);
    assert.ok(passed > 40, String(passed));
  });

  it('speaks of every action of the route table, each on its type, and of nothing else', async () => {
    const asked = (await declaredRoutes()).flatMap(({ access }) =>
      access === PUBLIC ? [] : [access.split(',')[0] ?? ''],
    );
    const named = new Set(parsePolicy(POLICY).rules.map(({ action }) => action));
    assert.deepEqual([...new Set(asked)].sort(), Object.keys(ACTIONS).sort(), 'src/access/vocabulary.ts');
    assert.deepEqual([...named].sort(), Object.keys(ACTIONS).sort(), 'an action that nobody is allowed');
  });
});

describe('the example of a bank', () => {
  const [policy, cases] = [read('examples/policy.csv'), read('examples/tests.csv')];
  const site = { timeZone: 'Asia/Shanghai', networkZones: { 'head-office': ['10.1.0.0/16'], branch: ['10.2.0.0/16'] } };
  it('has nothing wrong with it, and does what its cases say', async () => {
    const around = { zones: new Set(Object.keys(site.networkZones)), models: null };
    assert.deepEqual(checkPolicy({ model: MODEL, policy }, around), []);
    const engine = await compilePolicy({ version: 1, model: MODEL, policy, sha256: '' }, site);
    const result = runCases(
      cases,
      engine,
      parsePolicy(policy).rules.map(({ name }) => name),
    );
    assert.deepEqual([result.failed, result.untested], [[], []]);
  });
});

describe('policy check', () => {
  const wrong: [string, string][] = [
    ['q, x, y', 'a line begins with p or b'],
    ['p, x, role:analyst, model, *, infer', 'a line p has 9 to 11 cells, this one 6'],
    [`${GOOD}, more`, 'this one 12'],
    ['p, x, role:analyst, model, *, infer, *, 0, allow, "open, why', 'a quote or a control character'],
    [`${GOOD}\n${GOOD}`, 'another one of this name'],
    [GOOD.replace('good', 'Good One'), 'a name is'],
    [GOOD.replace('role:analyst', 'role:boss'), 'no subject “role:boss”'],
    [GOOD.replace('role:analyst', 'analyst'), 'no subject “analyst”'],
    [GOOD.replace('role:analyst', 'user:mei'), 'no subject “user:mei”'],
    [GOOD.replace('model', 'modle'), 'no resource type “modle”'],
    [GOOD.replace('infer', 'inferr'), 'no action “inferr”'],
    [GOOD.replace('infer', 'constructor'), 'no action “constructor”'],
    [GOOD.replace('infer', 'model.load'), 'can never match: model.load is done to a service'],
    [GOOD.replace('*, infer', 'qw*, infer'), 'an id is * or one exact id'],
    [GOOD.replace('infer, *', 'infer, tre*'), 'a department is'],
    [GOOD.replace(' 0,', ' 5,'), 'the least clearance is 0 to 4'],
    [GOOD.replace('allow', 'Allow'), 'the effect is allow or deny'],
    [GOOD.replace('Analysts ask models.', ''), 'has no explanation'],
    [GOOD.replace('allow, ,', 'allow, mood in good,'), 'no attribute “mood”'],
    [GOOD.replace('allow, ,', 'allow, network in moon,'), 'no network zone “moon”'],
    [GOOD.replace('allow, ,', 'allow, clearance at least 3 and clearance below 2,'), 'can never match'],
    [GOOD.replace('allow, ,', 'allow, department in a and department in b,'), 'can never match'],
    [GOOD.replace('allow, ,', 'allow, branch in a and branch not in a|b,'), 'can never match'],
    [GOOD.replace('allow, ,', 'allow, strength below none,'), 'can never match'],
    [
      GOOD.replace('allow, ,', 'allow, time in Mon-Fri 08:00-18:00 and time in Sat-Sun 00:00-24:00,'),
      'can never match',
    ],
    [GOOD.replace('infer, *', 'infer, risk').replace('allow, ,', 'allow, department in treasury,'), 'can never match'],
    ['# nothing', 'there is no rule'],
    [`${GOOD}\nb, x, role:analyst, *, heat, 0 to 1, clamp, why`, 'no parameter “heat”'],
    [`${GOOD}\nb, x, role:analyst, *, temperature, 1 to 0, clamp, why`, 'is a range'],
    [`${GOOD}\nb, x, role:analyst, *, temperature, 0 to 3, clamp, why`, 'is a range'],
    [`${GOOD}\nb, x, role:analyst, *, max_tokens, 0.5 to 2, clamp, why`, 'is a range'],
    [`${GOOD}\nb, x, role:analyst, *, temperature, 0 to 1, cut, why`, 'clamp or refuse'],
    [`${GOOD}\nb, x, role:boss, *, temperature, 0 to 1, clamp, why`, 'no subject'],
    [
      `${GOOD}\nb, x, role:analyst, *, temperature, 0 to 0.3, clamp, why\nb, y, role:analyst, *, temperature, 0.5 to 1, clamp, why`,
      'leave nothing between them',
    ],
  ];
  for (const [policy, message] of wrong)
    it(`names: ${message}`, () => {
      assert.ok(hasErrors(check(policy)), policy);
      assert.ok(
        messages(policy).some((one) => one.includes(message)),
        messages(policy).join('\n'),
      );
    });

  it('warns of a model that is not in the configuration', () => {
    assert.match(messages(GOOD.replace('*, infer', 'gpt, infer')).join(), /warning 1 good: no model “gpt”/);
    assert.deepEqual(check(GOOD.replace('*, infer', 'qwen, infer')), []);
  });

  it('warns of a rule that a deny leaves nothing of, and of no other', () => {
    const deny = (change: (line: string) => string) => {
      const line = change(GOOD.replace('good', 'no').replace('allow', 'deny'));
      return messages(`${GOOD.replace('allow, ,', 'allow, network in branch and clearance at least 2,')}\n${line}`);
    };
    const shadow = ['warning 1 good: allows nothing: no denies all of it'];
    assert.deepEqual(
      deny((line) => line),
      shadow,
    );
    assert.deepEqual(
      deny((line) => line.replace('role:analyst', 'authenticated')),
      shadow,
    );
    assert.deepEqual(
      deny((line) => line.replace('deny, ,', 'deny, clearance at least 1,')),
      shadow,
    );
    assert.deepEqual(
      deny((line) => line.replace('deny, ,', 'deny, network in branch,')),
      shadow,
    );
    for (const change of [
      (line: string) => line.replace('role:analyst', 'role:service'),
      (line: string) => line.replace('*, infer', 'qwen, infer'),
      (line: string) => line.replace('infer, *', 'infer, risk'),
      (line: string) => line.replace('deny, ,', 'deny, clearance at least 3,'),
      (line: string) => line.replace('deny, ,', 'deny, time in Mon 08:00-09:00,'),
    ])
      assert.deepEqual(deny(change), []);
  });

  const models: [string, string, RegExp][] = [
    ['coercing ==', MODEL.replace('same(r.act, p.act)', 'r.act == p.act'), /calls of our functions/],
    ['keyMatch', MODEL.replace('same(r.act, p.act)', 'keyMatch(r.act, p.act)'), /no function keyMatch/],
    ['regexMatch', MODEL.replace('same(r.type, p.type)', 'regexMatch(r.type, p.type)'), /no function regexMatch/],
    ['or', MODEL.replace('same(r.act, p.act) &&', 'same(r.act, p.act) ||'), /calls of our functions/],
    ['not', MODEL.replace('holds(', '!holds('), /calls of our functions/],
    ['eval', MODEL.replace('met(', 'eval('), /no function eval/],
    ['wrong arity', MODEL.replace('same(r.act, p.act)', 'same(r.act)'), /takes 2 values/],
    ['a request that there is not', MODEL.replace('same(r.act', 'same(r.path'), /given “r.path”/],
    ['deny only', MODEL.replace('some(where (p.eft == allow)) && ', ''), /deny over allow/],
    ['allow only', MODEL.replace(' && !some(where (p.eft == deny))', ''), /deny over allow/],
    ['any subject', MODEL.replace('holds(r.subjects, p.sub) && ', ''), /must ask holds/],
    ['other cells', MODEL.replace('p = rule, sub', 'p = sub, rule'), /a rule is/],
    ['nothing', '', /must/],
  ];
  for (const [name, model, message] of models)
    it(`refuses a model with ${name}`, () => {
      assert.match(
        check(GOOD, model)
          .filter(({ severity }) => severity === 'error')
          .map((one) => one.message)
          .join('\n'),
        message,
      );
    });
});

describe('policy test', () => {
  it('tells what came out otherwise, and what means nothing', async () => {
    const engine = await compilePolicy(
      { version: 1, model: MODEL, policy: GOOD, sha256: '' },
      { timeZone: 'UTC', networkZones: {} },
    );
    const run = (line: string) =>
      runCases(line, engine, ['good', 'other'])
        .failed.map(({ message }) => message)
        .join();
    assert.equal(run('role:analyst, infer, model:x, , allow, good'), '');
    assert.match(run('role:analyst, infer, model:x, , deny, good'), /expected deny by good, but it is allow by good/);
    assert.match(run('role:analyst, infer, model:x, , allow, other'), /but it is allow by good/);
    assert.match(run('role:admin, infer, model:x, , allow, good'), /deny by no rule/);
    for (const line of [
      'role:boss, infer, model:x, , allow, good',
      'role:analyst mood=1, infer, model:x, , allow, good',
      'role:analyst, infer, x, , allow, good',
      'role:analyst, infer, model:x, strength=x, allow, good',
      'role:analyst, infer, model:x, , yes, good',
      'role:analyst, infer, model:x, , allow, nosuch',
      'a, b',
    ])
      assert.notEqual(run(line), '', line);
    assert.deepEqual(runCases('role:analyst, infer, model:x, , allow, good', engine, ['good', 'other']).untested, [
      'other',
    ]);
  });
});

describe('differences', () => {
  it('names what is added, removed and changed, and fits a record however much that is', () => {
    const diff = diffPolicies(
      { model: 'a', policy: `${GOOD}\n${GOOD.replace('good', 'gone')}` },
      { model: 'a', policy: `${GOOD.replace(' 0,', ' 2,')}\n${GOOD.replace('good', 'new')}` },
    );
    const names = (lines: readonly { name: string }[]) => lines.map(({ name }) => name);
    assert.deepEqual(
      [names(diff.added), names(diff.removed), names(diff.changed), diff.model],
      [['new'], ['gone'], ['good'], false],
    );
    const many = (prefix: string) =>
      Array.from({ length: 3000 }, (_, n) => GOOD.replace('good', `${prefix}-${'x'.repeat(50)}-${n}`)).join('\n');
    const facts = diffFacts(
      diffPolicies({ model: 'a', policy: many('a') }, { model: 'b', policy: many('b') }),
      sha256Hex,
    );
    assert.equal(facts.added, 3000);
    const event = {
      kind: 'change',
      actor: 'usr_1',
      action: 'policy.import',
      resource: 'policy:2',
      outcome: 'completed',
      request: null,
      facts,
    } as const;
    assert.ok(recordText(event).event.length < 4096);
  });

  it('reads cells as RFC 4180 writes them', () => {
    assert.deepEqual(splitCells('a, "b, ""c""" ,, d '), ['a', 'b, "c"', '', 'd']);
    for (const line of ['a"b', '"a', '"a"b', 'a\u0000', 'a\u001b'])
      assert.equal(splitCells(line), null, JSON.stringify(line));
  });
});
