import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { ChatRequest } from '#chat/chat.contract.ts';
import { sparseSchema } from '#http/sparse-schema.ts';

const WHOLE = { model: 'demo', messages: [{ role: 'user', content: 'hello' }] };
const MEMBERS: readonly (readonly [name: string, values: readonly unknown[]])[] = [
  ['stream', [true, null, 'yes']],
  ['temperature', [0.5, null, 3]],
  ['stop', ['x', ['a', 'b'], 7]],
  ['top_logprobs', [2, 99]],
  ['logprobs', [true, false]],
  ['tool_choice', ['auto', { type: 'function' }]],
  ['user', ['u', null]],
  ['nobody', [1, null]],
  ['model', ['', 5]],
];

/** Every choice of members, each with every one of its values, three at a time. */
function* bodies(): Generator<Record<string, unknown>> {
  for (const [a, ofA] of MEMBERS) {
    for (const [b, ofB] of MEMBERS) {
      for (const [c, ofC] of MEMBERS) {
        for (const at of [0, 1, 2]) yield { ...WHOLE, [a]: ofA[at], [b]: ofB[at], [c]: ofC[at] };
      }
    }
  }
  yield {};
  yield { messages: WHOLE.messages };
}

describe('a schema of the members that are there', () => {
  it('says of every body what the whole one says', () => {
    let refused = 0;
    for (const body of bodies()) {
      const [whole, sparse] = [ChatRequest.safeParse(body), sparseSchema(ChatRequest, body).safeParse(body)];
      assert.deepEqual(sparse, whole, JSON.stringify(body));
      if (!whole.success) refused++;
    }
    assert.ok(refused > 100);
  });

  it('looks at fewer members, and is the same for the same ones', () => {
    const first = sparseSchema(ChatRequest, WHOLE);
    assert.notEqual(first, ChatRequest);
    assert.equal(sparseSchema(ChatRequest, { ...WHOLE }), first);
  });

  it('is the whole one where a missing member would be given a value, and where there is little to gain', () => {
    const names = Array.from({ length: 10 }, (_, at) => `m${at}`);
    const given = z.object(Object.fromEntries(names.map((name) => [name, z.string().default('given')])));
    assert.deepEqual(sparseSchema(given, {}).parse({}), given.parse({}));
    const small = z.object({ a: z.string().optional() });
    assert.equal(sparseSchema(small, {}), small);
  });
});
