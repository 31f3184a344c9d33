import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { checkNewPassword, maxAgeDays, type PasswordProfile, parseBlocklist } from '#identity/password-policy.ts';
import { Problem } from '#kernel/problem.ts';

const shipped = new URL('../../policies/password-blocklist.txt', import.meta.url);
const blocked = parseBlocklist(await readFile(shipped, 'utf8'));

function accepts(password: string, hasSecondFactor = false, profile: PasswordProfile = 'nist', username = 'mei.li') {
  try {
    checkNewPassword(password, username, hasSecondFactor, { profile, blocked });
    return true;
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.code, 'invalid_parameter');
    assert.equal(error.detail.param, 'password');
    assert.ok(password === '' || !error.message.includes(password), 'the message repeats the password');
    return false;
  }
}

describe('password rules', () => {
  it('ask for 15 characters alone, 8 beside a second factor, 128 at most', () => {
    const text = 'quiet otter, 7 lanterns, blue door; ';
    for (const [least, factor] of [
      [15, false],
      [8, true],
    ] as const) {
      assert.equal(accepts(text.slice(0, least), factor), true);
      assert.equal(accepts(text.slice(0, least - 1), factor), false);
      assert.equal(accepts(text.repeat(4).slice(0, 128), factor), true);
      assert.equal(accepts(text.repeat(4).slice(0, 129), factor), false);
    }
  });

  it('count characters and not bytes or halves of them', () => {
    const fifteen = '银行的门在河边开着没有人看见';
    assert.equal([...fifteen].length, 14);
    assert.equal(accepts(fifteen), false);
    assert.equal(accepts(`${fifteen}了`), true);
    const owls = [...'🦉🦊🐻🐼🐨🐯🦁🐮'];
    assert.equal(accepts(owls.join(''), true), true);
    assert.equal(accepts(owls.slice(1).join(''), true), false);
    assert.equal(accepts(owls.join('').repeat(16), true), true);
    assert.equal(accepts(`${owls.join('').repeat(16)}x`, true), false);
  });

  it('ask for no sorts of characters, and take spaces for what they are', () => {
    for (const password of ['onlysmallletters', 'ONLYCAPITALWORDS', '   a b c d e    ', '274190385562871']) {
      assert.equal(accepts(password), true, password);
    }
  });

  it('refuse what is common, dressed up or said twice', () => {
    for (const password of [
      'password123',
      'PassWord123',
      '123456789',
      '!!password!!',
      '2026dragon2026',
      'sunshine',
      'dragondragon',
      'correcthorsebatterystaple',
    ])
      assert.equal(accepts(password, true), false, password);
    assert.equal(accepts('dragon lamp river', true), true);
  });

  it('refuse the user’s name, the product’s, and what repeats itself', () => {
    for (const password of ['my name is mei.li ok', 'MEI.LI loves tea 99', 'strongroom at night', 'aaaaaaaaabbbbbbbbb'])
      assert.equal(accepts(password), false, password);
    assert.equal(accepts('my name is mei.li ok', false, 'nist', 'kim'), true);
  });

  it('mlps3 asks for three of four sorts and a change every 90 days; nist for neither', () => {
    for (const [password, good] of [
      ['onlysmallletters', false],
      ['small and Capital', true],
      ['smallAndCapital', false],
      ['smallAndCapital7', true],
      ['small letters 77', true],
      ['银行的门在河边开着没有人看见 7', false],
      ['银行的门在河边开着没有人看见 7Aa', true],
    ] as const)
      assert.equal(accepts(password, false, 'mlps3'), good, password);
    assert.deepEqual([maxAgeDays('nist'), maxAgeDays('mlps3')], [null, 90]);
  });

  it('the shipped list is in small letters and has no holes', async () => {
    assert.ok(blocked.size > 150);
    for (const entry of blocked) assert.match(entry, /^\S(.*\S)?$/);
    assert.deepEqual([...parseBlocklist(' Alpha \n\n# note\nbeta\r\n')], ['alpha', 'beta']);
  });
});
