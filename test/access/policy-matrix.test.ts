import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compilePolicy } from '#access/access.casbin.ts';
import { questionOf } from '#access/access.ts';
import { parsePolicy } from '#access/policy-text.ts';
import { type Principal, ROLES, type Role } from '#kernel/principal.ts';
import { assertSnapshot } from '../harness/snapshot.ts';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const policy = read('../../policies/policy.csv');
const { rules } = parsePolicy(policy);
const SITE = { timeZone: 'UTC', networkZones: {} };
const HERE = { at: Date.UTC(2026, 0, 7, 12), address: '127.0.0.1', strength: 'second-factor' } as const;

/** Every action, resource type and role that anything names, and some that nothing does. */
const ACTIONS = [...new Set([...rules.map((rule) => rule.action), 'nothing'])].sort();
const TYPES = [...new Set([...rules.map((rule) => rule.type), 'nothing'])].sort();
const CALLERS: readonly (readonly Role[])[] = [[], ...ROLES.map((role) => [role]), ['admin', 'auditor']];

const principal = (roles: readonly Role[], restricted = false, mustChangePassword = false): Principal => ({
  subject: 'usr_1',
  username: 'someone',
  roles,
  attributes: { department: 'treasury', branch: '', clearance: 2, certifications: [] },
  credential: { kind: 'session', ref: 'r' },
  hasTotp: true,
  hasPasskey: false,
  restricted,
  strength: 'second-factor',
  mustChangePassword,
  scope: null,
  epoch: 1,
  expiresAt: null,
});

/** `role: { action: "type (rule)" }`: what is allowed; all else is denied. */
type Matrix = Record<string, Record<string, string>>;

describe('policies/', () => {
  it('allows each role what policy-matrix.json says and nothing else', async () => {
    const engine = await compilePolicy(
      { version: 1, model: read('../../policies/model.conf'), policy, sha256: '' },
      SITE,
    );
    const matrix: Matrix = {};
    const callers = CALLERS.map((roles) => [roles.join('+') || 'no role', principal(roles)] as const);
    const owing = [
      ['owes a second factor', principal(['admin'], true)],
      ['owes a new password', principal(['admin'], false, true)],
    ] as const;
    for (const [name, caller] of [...callers, ...owing]) {
      const row: Record<string, string> = {};
      for (const action of ACTIONS) {
        for (const type of TYPES) {
          const ask = (classification: number) =>
            engine.decide(questionOf(caller, action, { type, id: 'x' }, { classification, owner: '' }), HERE);
          const { allowed, rule } = ask(2);
          if (allowed) row[action] = [row[action], `${type} (${rule})`].filter(Boolean).join(', ');
          // What is classified above his clearance nobody gets, by whatever rule.
          assert.equal(ask(3).allowed, false, `${name} ${action} ${type}`);
        }
      }
      matrix[name] = row;
    }
    assertSnapshot(new URL('./policy-matrix.json', import.meta.url), matrix);
  });

  it('names each rule once, knows each role, and allows by no rule what is not in the matrix', () => {
    const names = rules.map((rule) => rule.name);
    assert.equal(new Set(names).size, names.length);
    for (const rule of rules) {
      assert.match(rule.subject, new RegExp(`^(authenticated|restricted|expired|role:(${ROLES.join('|')}))$`));
      assert.match(rule.effect, /^(allow|deny)$/);
    }
    const matrix = JSON.parse(read('./policy-matrix.json')) as Matrix;
    const used = new Set(
      Object.values(matrix).flatMap((row) => Object.values(row).flatMap((cells) => cells.match(/(?<=\()[^)]+/g) ?? [])),
    );
    assert.deepEqual([...used].sort(), [...names].sort(), 'a rule that allows nobody anything is a mistake');
  });
});
