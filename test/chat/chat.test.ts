import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ChatBody, generationRequest, tokensToReserve } from '#chat/chat.ts';
import type { ModelGrant } from '#kernel/gate.ts';
import { PAID } from '../fakes/credit.ts';

const TOOLS = ['clock', 'shell'].map((name) => ({ function: { name } }));
const ASK: ChatBody = { model: 'm', messages: [{ role: 'user', content: 'x' }], tools: TOOLS };
const GRANT: ModelGrant = { tools: ['clock'], context: null, changes: ['tools 2 -> 1 (bound)'] };
const request = (body: ChatBody, grant: ModelGrant | null = GRANT) =>
  generationRequest(body, grant, 'req', 'usr', PAID);

describe('what is asked of a model', () => {
  it('offers the tools that policy leaves, and none of the others', () => {
    assert.deepEqual(request(ASK).tools, { functions: [{ name: 'clock' }], choice: 'auto', parallel: true });
    assert.equal(request(ASK, { ...GRANT, tools: [] }).tools, undefined);
    assert.equal(request(ASK, null).tools?.functions.length, 2);
  });

  it('is refused where what must be called is not left', () => {
    const refused = { code: 'out_of_bounds', detail: { param: 'tool_choice' } };
    const named = (name: string): ChatBody => ({ ...ASK, tool_choice: { function: { name } } });
    assert.deepEqual(request(named('clock')).tools?.choice, { name: 'clock' });
    for (const [body, grant] of [
      [named('shell'), GRANT],
      [
        { ...ASK, tool_choice: 'required' as const },
        { ...GRANT, tools: [] },
      ],
    ] as const) {
      assert.throws(
        () => request(body, grant),
        ({ code, detail }: { code: string; detail: { param: string } }) => {
          assert.deepEqual([code, detail.param], [refused.code, refused.detail.param]);
          return true;
        },
      );
    }
  });

  it('reserves every prompt of several answers, and their first slice', () => {
    const model = { engine: 'llama', contextSize: 1024, maxOutputTokens: 100 } as const;
    const [one, three] = [1, 3].map((n) => tokensToReserve({ ...ASK, n }, 100, 400, model));
    assert.deepEqual(one, { tokens: 356 + 100, least: 357 });
    assert.deepEqual(three, { tokens: 3 * 356 + 300, least: 3 * 356 + 1 });
  });
});
