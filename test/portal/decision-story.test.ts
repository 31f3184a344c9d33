import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storyOf, type Told } from '#portal/decision-story.ts';

const record = (kind: string, facts: Told['facts'], change: Partial<Told> = {}): Told => ({
  seq: '7',
  kind,
  actor: 'usr_1',
  actor_name: 'anna',
  action: 'infer',
  resource: 'model:demo',
  outcome: 'admitted',
  facts,
  ...change,
});

test('an intent alone tells who asked, why it was allowed and what was taken', () => {
  const story = storyOf([
    record('intent', {
      rule: 'r',
      policy_version: 3,
      quota: { requests: 1, tokens: 1425, tokens_least: 401 },
      roles: ['analyst'],
    }),
  ]);
  assert.deepEqual(
    story.map(({ kind, words }) => [kind, ...words]),
    [
      ['asked', 'anna', 'infer', 'model:demo'],
      ['allowed', 'r', '3'],
      ['quota', '1', '1,425'],
    ],
  );
  assert.deepEqual(story[0]?.facts, [{ name: 'roles', value: 'analyst' }]);
});

test('a denial ends with its code; nothing is guessed that no record says', () => {
  const story = storyOf([record('denial', { outcome_code: 'quota' }, { actor_name: null, outcome: 'denied' })]);
  assert.deepEqual(
    story.map(({ kind, words }) => [kind, words[0]]),
    [
      ['asked', 'usr_1'],
      ['denied', 'quota'],
    ],
  );
  assert.deepEqual(storyOf([]), []);
  assert.deepEqual(storyOf([record('system', {})]), []);
});

test('an outcome tells by what and how; a seed stays as it was drawn', () => {
  const story = storyOf([
    record('intent', {}),
    record(
      'outcome',
      {
        engine: 'llama',
        seed: 4_294_967_295,
        prompt_tokens: 12,
        completion_tokens: 3,
        cached_tokens: 0,
        first_token_ms: null,
        finish_reason: 'stop',
      },
      { seq: '9', outcome: 'completed' },
    ),
  ]);
  assert.deepEqual(
    story.map(({ kind }) => kind),
    ['asked', 'made', 'counted', 'ended'],
  );
  assert.deepEqual(story[1]?.facts, [{ name: 'seed', value: '4294967295' }]);
  assert.deepEqual(story[2]?.facts, []);
  assert.deepEqual([story[3]?.seq, story[3]?.words], ['9', ['completed']]);
});
