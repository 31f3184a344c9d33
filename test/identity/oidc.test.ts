import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ClaimMapping, hasSameRights, identityOf } from '#identity/oidc.ts';

const MAPPING: ClaimMapping = {
  usernameClaim: 'preferred_username',
  roleClaim: 'realm_access.roles',
  roles: { analysts: 'analyst', auditors: 'auditor' },
  attributes: { department: 'dept', clearance: 'level', branch: 'https://bank.example/branch' },
  secondFactorAcr: ['urn:bank:mfa', 'otp'],
};
const CLAIMS = {
  iss: 'https://idp.example',
  sub: '42',
  preferred_username: 'Li.Wei',
  realm_access: { roles: ['analysts', 'canteen'] },
  dept: 'risk',
  level: 3,
  'https://bank.example/branch': 'north',
};
const rightsOf = (change: object) => {
  const identity = identityOf({ ...CLAIMS, ...change }, MAPPING);
  if (typeof identity === 'string') throw new Error(identity);
  return identity;
};

describe('claims become an identity', () => {
  it('maps names, paths, roles and attributes', () => {
    assert.deepEqual(identityOf(CLAIMS, MAPPING), {
      externalSubject: 'https://idp.example 42',
      username: 'li.wei',
      roles: ['analyst'],
      department: 'risk',
      clearance: 3,
      branch: 'north',
      hasSecondFactor: false,
    });
  });

  it('takes one role as text, several as a list, and none from anything else', () => {
    assert.deepEqual(rightsOf({ 'realm_access.roles': 'auditors' }).roles, ['auditor']);
    assert.deepEqual(rightsOf({ realm_access: { roles: ['auditors', 'analysts'] } }).roles, ['analyst', 'auditor']);
    for (const roles of [[], ['ANALYSTS'], 'analysts,auditors', { 0: 'analysts' }, [['analysts']], null, true])
      assert.equal(identityOf({ ...CLAIMS, realm_access: { roles } }, MAPPING), 'no_role');
    for (const name of ['constructor', '__proto__', 'toString'])
      assert.equal(identityOf({ ...CLAIMS, realm_access: { roles: [name] } }, MAPPING), 'no_role');
    assert.equal(identityOf(CLAIMS, { ...MAPPING, roleClaim: 'constructor.name' }), 'no_role');
  });

  it('gives the least where an attribute is missing or odd', () => {
    for (const level of [undefined, null, 5, -1, 2.5, '03', ' 3', 'secret', [4], true, { valueOf: 4 }])
      assert.equal(rightsOf({ level }).clearance, 0);
    assert.equal(rightsOf({ level: '4' }).clearance, 4);
    for (const dept of [undefined, 7, ['risk'], 'x'.repeat(65), 'a\nb', 'a|role:admin'])
      assert.equal(rightsOf({ dept }).department, '');
  });

  it('lets nobody in without a subject or a usable name', () => {
    for (const sub of [undefined, '', 42, 'x'.repeat(256)])
      assert.equal(identityOf({ ...CLAIMS, sub }, MAPPING), 'no_subject');
    for (const name of [undefined, '', 'x', 'a b', '-rf', 'ünicode', 'a\u202eb', ['li'], 'x'.repeat(129)])
      assert.equal(identityOf({ ...CLAIMS, preferred_username: name }, MAPPING), 'no_username');
  });

  it('believes in a second factor only by configured values', () => {
    assert.equal(rightsOf({ acr: 'urn:bank:mfa' }).hasSecondFactor, true);
    assert.equal(rightsOf({ amr: ['pwd', 'otp'] }).hasSecondFactor, true);
    for (const change of [{ acr: 'urn:bank:pwd' }, { amr: ['mfa'] }, { amr: 'OTP' }, { acr: { otp: true } }])
      assert.equal(rightsOf(change).hasSecondFactor, false);
  });

  it('tells whether rights have changed', () => {
    const rights = rightsOf({});
    assert.ok(hasSameRights(rights, rightsOf({ acr: 'otp' })));
    for (const change of [{ level: 1 }, { dept: 'audit' }, { realm_access: { roles: ['auditors'] } }])
      assert.ok(!hasSameRights(rights, rightsOf(change)));
  });
});
