import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ScoringSession, ScoringSessions } from '#scoring/sessions.ts';

const LIMITS = { idleMs: 1000, maxBytes: 250, maxPerSubject: 2 };

function desk() {
  let now = 0;
  const forgotten: string[] = [];
  const sessions = new ScoringSessions(() => now, LIMITS);
  const open = (id: string, subject = 'usr_1', bytes = 100): ScoringSession => {
    const session: ScoringSession = {
      id,
      subject,
      credential: `session of ${subject}`,
      modelId: 'made',
      modelHash: 'h',
      steps: [1],
      keys: new Uint8Array(bytes).fill(7),
      keysHash: 'k',
    };
    sessions.open(session, () => forgotten.push(id));
    return session;
  };
  const use = (id: string, subject = 'usr_1') => sessions.use(id, subject, `session of ${subject}`);
  return { sessions, open, use, forgotten, pass: (ms: number) => (now += ms) };
}

describe('scoring sessions', () => {
  it('are their owner’s, in the sign-in that opened them', () => {
    const { open, use, sessions } = desk();
    open('a');
    assert.equal(use('a')?.id, 'a');
    assert.equal(use('a', 'usr_2'), null);
    assert.equal(sessions.use('a', 'usr_1', 'another session'), null);
    assert.equal(use('b'), null);
  });

  it('go when they are not used for a while, and their keys are wiped', () => {
    const { open, use, forgotten, pass, sessions } = desk();
    const session = open('a');
    pass(900);
    assert.ok(use('a'));
    pass(900);
    assert.ok(use('a'));
    pass(1001);
    assert.equal(use('a'), null);
    assert.deepEqual(forgotten, ['a']);
    assert.ok(session.keys.every((byte) => byte === 0));
    assert.deepEqual([sessions.size, sessions.bytes], [0, 0]);
  });

  it('make room: one’s own oldest beyond his share, anybody’s longest unused beyond the memory', () => {
    const { open, use, forgotten, sessions } = desk();
    open('a', 'usr_1', 10);
    open('b', 'usr_1', 10);
    open('c', 'usr_1', 10);
    assert.deepEqual(forgotten, ['a']);
    open('d', 'usr_2', 200);
    assert.ok(use('b'));
    open('e', 'usr_3', 100);
    assert.deepEqual(forgotten, ['a', 'c', 'd']);
    assert.ok(sessions.bytes <= 250);
  });

  it('all go at the end', () => {
    const { open, sessions, forgotten } = desk();
    open('a');
    open('b', 'usr_2');
    sessions.clear();
    assert.deepEqual([sessions.size, forgotten.length], [0, 2]);
  });
});
