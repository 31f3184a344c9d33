import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compilePolicy } from '#access/access.casbin.ts';
import { AccessControl } from '#access/access.service.ts';
import { type AccessQuestion, type PolicyText, questionOf, subjectsOf } from '#access/access.ts';
import { silentLog } from '#kernel/log.ts';
import type { Principal, Role } from '#kernel/principal.ts';

const MODEL = readFileSync(new URL('../../policies/model.conf', import.meta.url), 'utf8');

const principal = (subject: string, roles: readonly string[] = [], clearance = 0, department = ''): Principal => ({
  subject,
  username: subject,
  roles: roles as readonly Role[],
  attributes: { department, clearance, branch: '', certifications: [] },
  credential: { kind: 'session', ref: 'r' },
  hasTotp: false,
  hasPasskey: false,
  restricted: false,
  strength: 'password',
  scope: null,
  epoch: 1,
  expiresAt: null,
});
const ALICE: AccessQuestion = {
  subjects: '|user:usr_1|role:analyst|authenticated|',
  department: 'treasury',
  clearance: 2,
  branch: '',
  certifications: '',
  type: 'model',
  id: 'small',
  classification: 1,
  owner: '',
  action: 'infer',
};
const SITE = { timeZone: 'UTC', networkZones: {} };
const compile = (policyText: PolicyText) => compilePolicy(policyText, SITE);
const HERE = { at: Date.UTC(2026, 0, 7, 12), address: '127.0.0.1', strength: 'password' } as const;
const text = (policy: string, model = MODEL): PolicyText => ({ version: 7, model, policy, sha256: '' });
const allows = async (policy: string, change: Partial<Record<keyof AccessQuestion, unknown>> = {}) => {
  const engine = await compile(text(policy));
  const question = { ...ALICE, ...change } as AccessQuestion;
  const first = engine.decide(question, HERE);
  assert.deepEqual(engine.decide(question, HERE), first, 'the same from the cache');
  assert.equal(first.policyVersion, 7);
  return first.allowed;
};
const rule = (fields: Partial<Record<'sub' | 'type' | 'id' | 'act' | 'dep' | 'clr' | 'eft' | 'name', string>> = {}) => {
  const {
    name = 'r',
    sub = 'role:analyst',
    type = 'model',
    id = '*',
    act = 'infer',
    dep = '*',
    clr = '0',
    eft = 'allow',
  } = fields;
  return `p, ${[name, sub, type, id, act, dep, clr, eft].join(', ')}`;
};

describe('the policy engine', () => {
  it('allows what a rule allows, and says which', async () => {
    const engine = await compile(text(`${rule({ name: 'other', act: 'read' })}\n${rule({ name: 'mine' })}`));
    assert.deepEqual(engine.decide(ALICE, HERE), { allowed: true, policyVersion: 7, rule: 'mine', conditions: null });
    assert.deepEqual(engine.decide({ ...ALICE, action: 'x' }, HERE), {
      allowed: false,
      policyVersion: 7,
      rule: null,
      conditions: null,
    });
  });

  it('denies everything under an empty policy, and to whom no rule names', async () => {
    await assert.rejects(allows(''), 'no rules at all: a gateway does not start with that');
    await assert.rejects(allows('# nothing'));
    assert.equal(await allows(rule({ sub: 'role:admin' })), false);
    assert.equal(
      await allows(rule({ eft: 'deny' }), { subjects: '|user:usr_2|authenticated|' }),
      false,
      'deny-only lets nobody in',
    );
  });

  it('puts deny over allow, in either order, and takes no other effect for allow', async () => {
    const both = [rule(), rule({ sub: 'user:usr_1', eft: 'deny' })];
    assert.equal(await allows(both.join('\n')), false);
    assert.equal(await allows(both.reverse().join('\n')), false);
    assert.equal(await allows(both.join('\n'), { subjects: '|user:usr_2|role:analyst|' }), true);
    for (const eft of ['Allow', 'ALLOW', 'true', 'permit', '1']) assert.equal(await allows(rule({ eft })), false, eft);
  });

  it('tells users from roles: a user may be called like a role', async () => {
    const admins = rule({ sub: 'role:admin' });
    for (const name of ['admin', 'role:admin', 'x|role:admin|y', '|role:admin|', 'x|role:admin']) {
      for (const roles of [[], [name === 'admin' ? 'analyst' : name.slice(0, 0)], ['x|role:admin|y']]) {
        assert.equal(await allows(admins, { subjects: subjectsOf(principal(name, roles)) }), false, `${name} ${roles}`);
      }
    }
    assert.equal(await allows(admins, { subjects: subjectsOf(principal('usr_1', ['admin'])) }), true);
  });

  it('compares exactly: no prefix, no suffix, no pattern, no letter case, no spaces of Unicode', async () => {
    for (const id of [
      'Small',
      'SMALL',
      'small ',
      'smal',
      'small2',
      'sm*',
      'small/../small',
      'small\n',
      'ｓmall',
      'small\u0000',
      '',
      '*',
    ]) {
      assert.equal(await allows(rule({ id: 'small' }), { id }), false, JSON.stringify(id));
    }
    for (const action of ['Infer', 'INFER', 'infer ', 'inf', 'infer.all', '*', '.*']) {
      assert.equal(await allows(rule(), { action }), false, action);
    }
    for (const type of ['Model', 'models', '*', '']) assert.equal(await allows(rule(), { type }), false, type);
    for (const department of ['Treasury', 'treasur', 'treasury2', '']) {
      assert.equal(await allows(rule({ dep: 'treasury' }), { department }), false, department);
    }
    // A star stands for any id in a rule; in a rule's other places it is a letter.
    for (const star of [{ act: '*' }, { type: '*' }, { sub: '*' }, { id: 'sm*' }, { id: '.*' }, { sub: 'role:*' }]) {
      assert.equal(await allows(rule(star)), false, JSON.stringify(star));
    }
    assert.equal(await allows(rule({ id: 'small', dep: 'treasury' })), true);
  });

  it('compares clearances as numbers', async () => {
    assert.equal(await allows(rule({ clr: '2' })), true);
    assert.equal(await allows(rule({ clr: '3' })), false);
    assert.equal(await allows(rule({ clr: '10' }), { clearance: 9, classification: 0 }), false, '"9" > "10" as texts');
    assert.equal(await allows(rule({ clr: '18' }), { clearance: 19, classification: 0 }), true);
    assert.equal(await allows(rule(), { classification: 3 }), false);
    for (const clr of ['', 'x', '-1', '1e1', '0x1', ' ', '1.5', 'NaN', 'Infinity', '１', '0001']) {
      assert.equal(await allows(rule({ clr })), false, `a rule that says ${JSON.stringify(clr)} allows nothing`);
    }
    for (const clearance of ['4', '19', null, undefined, Number.NaN, Infinity, 1.5, true, [4], { valueOf: () => 4 }]) {
      assert.equal(await allows(rule(), { clearance }), false, String(clearance));
      assert.equal(await allows(rule(), { clearance: 4, classification: clearance }), false, String(clearance));
    }
  });

  it('takes no object for a text, whatever it says it is', async () => {
    const says = (what: string) => ({
      toString: () => what,
      valueOf: () => what,
      [Symbol.toPrimitive]: () => what,
      includes: () => true,
    });
    for (const [name, value] of Object.entries(ALICE)) {
      if (typeof value !== 'string') continue;
      for (const fake of [says(value), [value], new String(value), null, undefined, 0, true]) {
        assert.equal(
          await allows(rule({ id: 'small', dep: 'treasury' }), { [name]: fake }),
          false,
          `${name} ${typeof fake}`,
        );
      }
    }
  });

  it('denies when the matcher throws, and does not start with a policy that it can not read', async () => {
    const broken = (matcher: string) => MODEL.replace(/m = .*/, `m = ${matcher}`);
    const foreign = [
      'keyMatch(r.act, p.act)',
      'keyMatch2(r.id, p.id)',
      'regexMatch(r.act, p.act)',
      'globMatch(r.act, p.act)',
    ];
    const thrown = [
      'nosuch(r.act, p.act)',
      'holds(r.nosuch.deeper, p.sub)',
      'same(r.act.b.c, p.act)',
      'met(p.when, p.eft)',
    ];
    for (const matcher of [...thrown, ...foreign]) {
      const engine = await compile(text(rule(), broken(matcher)));
      assert.deepEqual(
        engine.decide(ALICE, HERE),
        { allowed: false, policyVersion: 7, rule: null, conditions: null },
        matcher,
      );
    }
    for (const model of ['', 'no model', '[request_definition]\nr = a'])
      await assert.rejects(compile(text(rule(), model)), model);
  });

  it('remembers a bounded number of decisions and stays right', async () => {
    const engine = await compile(text(rule({ id: 'small' })));
    for (let n = 0; n < 20_100; n++) assert.equal(engine.decide({ ...ALICE, id: `m${n}` }, HERE).allowed, false);
    assert.equal(engine.decide(ALICE, HERE).allowed, true);
  });
});

describe('access control', () => {
  const deps = (versions: (PolicyText | null)[]) => ({
    currentPolicy: async () => versions.shift() ?? null,
    compile,
    now: () => HERE.at,
    attributesOf: (_type: string, id: string) => (id === 'small' ? { classification: 1, owner: '' } : null),
    log: silentLog,
  });
  const alice = principal('usr_1', ['analyst'], 2, 'treasury');
  const model = { type: 'model', id: 'small' };

  it('denies before a policy is loaded, and for a resource that does not exist', async () => {
    const access = new AccessControl(deps([text(rule())]));
    assert.deepEqual(access.decide(alice, 'infer', model, '127.0.0.1'), {
      allowed: false,
      policyVersion: 0,
      rule: null,
      conditions: null,
      resource: { classification: 1, owner: '' },
      because: 'no_policy',
    });
    await access.load();
    assert.equal(access.decide(alice, 'infer', model, '127.0.0.1').allowed, true);
    assert.equal(access.decide(alice, 'infer', { type: 'model', id: 'other' }, '127.0.0.1').allowed, false);
  });

  it('refuses to load none, and keeps what it has when a new one does not compile', async () => {
    const access = new AccessControl(deps([text(rule()), { ...text(''), version: 8, model: 'broken' }, null]));
    await access.load();
    await assert.rejects(access.load());
    await assert.rejects(access.load(), /no policy/);
    assert.equal(access.version, 7);
    assert.equal(access.decide(alice, 'infer', model, '127.0.0.1').allowed, true);
  });

  it('asks with the attributes of the account and the class of our own store', () => {
    assert.deepEqual(questionOf(alice, 'infer', model, { classification: 1, owner: '' }), ALICE);
  });
});
