import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyReceipt } from '#audit/receipt.shared.ts';
import { sentAnswer } from '#audit/receipt-texts.shared.ts';
import { collect } from '../engine/demo.ts';
import { OPENED } from '../fakes/tool-templates.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, madeEntry, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const THOUGHT = ['Let', ' me', ' see.'];
const ANSWER = ['It', ' is', ' so'];
/** Of a thought: our own model's has a mark at its end. */
const TOKENS = { local: THOUGHT.length + 1, up: THOUGHT.length };
const MESSAGES = [{ role: 'user', content: 'Is it so?' }];

interface Usage {
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}
interface Whole {
  readonly usage: Usage;
  readonly choices: readonly { readonly message: { readonly content: string; readonly reasoning_content?: string } }[];
}
interface Chunk {
  readonly usage?: Usage | null;
  readonly choices: readonly { readonly delta?: { readonly content?: string; readonly reasoning_content?: string } }[];
}

describe('what a model thinks before it answers, through the whole gateway', () => {
  let test: TestGateway;
  let fake: FakeUpstream;
  let analyst: Session;
  before(async () => {
    fake = await startFakeUpstream({ thought: THOUGHT, pieces: ANSWER });
    test = await TestGateway.open(async (folder) => {
      const chatTemplateFile = join(folder, 'opened.jinja');
      await writeFile(chatTemplateFile, OPENED);
      const say = [...THOUGHT, '</think>', ...ANSWER];
      return {
        models: {
          local: await madeEntry(folder, 'thinker', { say }, { chatTemplateFile }),
          up: upstreamEntry(fake.url),
        },
      };
    });
    analyst = await test.signIn('analyst');
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await fake.close();
  });

  const ask = (model: string, change: object = {}) =>
    test.client.post('/v1/chat/completions', { model, messages: MESSAGES, max_tokens: 40, ...change }, analyst.bearer);

  for (const model of ['local', 'up'] as const) {
    it(`comes beside the answer, is on record by its length, and committed to with it (${model})`, async () => {
      for (const n of [1, 2]) {
        const answer = await ask(model, { n });
        assert.equal(answer.status, 200, answer.text);
        const { choices, usage } = answer.json<Whole>();
        assert.deepEqual(usage.completion_tokens_details, { reasoning_tokens: n * TOKENS[model] });
        for (const { message } of choices)
          assert.deepEqual([message.reasoning_content, message.content], [THOUGHT.join(''), ANSWER.join('')]);
        const { event } = await test.outcome(String(answer.headers['x-request-id']));
        assert.equal(event['reasoning_bytes'], n * THOUGHT.join('').length);
        assert.ok(!JSON.stringify(event).includes('me see'));
        const path = String(answer.headers['x-audit-receipt']);
        const receipt = await eventually(async () => {
          const found = await test.client.get(path, analyst.bearer);
          return found.status === 200 && found.json<{ verifier_key: string }>();
        });
        const proves = async (text: string) => {
          const checks = await verifyReceipt(nodeCrypto, receipt, receipt.verifier_key, { answer: sentAnswer(text) });
          return checks.find(({ name }) => name === 'answer')?.ok;
        };
        assert.equal(await proves(answer.text), true);
        assert.equal(await proves(answer.text.replace('Let me', 'Let us')), false, 'another thought');
        assert.equal(await proves(answer.text.replaceAll(/"reasoning_content":"[^"]*",?/g, '')), false, 'none');
      }
    });

    it(`streams first, under its own name, and goes into no later prompt (${model})`, async () => {
      const open = await test.client.open('POST', '/v1/chat/completions', {
        headers: analyst.bearer,
        body: { model, messages: MESSAGES, max_tokens: 40, stream: true, stream_options: { include_usage: true } },
      });
      const events = (await collect(open.events())).filter((data) => data.startsWith('{'));
      const chunks = events.map((data) => JSON.parse(data) as Chunk);
      assert.deepEqual(chunks.at(-1)?.usage?.completion_tokens_details, { reasoning_tokens: TOKENS[model] });
      const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta ?? {}));
      const said = deltas.flatMap(({ reasoning_content: thought, content }) =>
        thought ? [`(${thought})`] : content ? [content] : [],
      );
      assert.equal(said.join('').replaceAll(')(', ''), `(${THOUGHT.join('')})${ANSWER.join('')}`);
      const past = { role: 'assistant', content: 'It is', reasoning_content: 'a thought of long ago' };
      const next = await ask(model, { messages: [...MESSAGES, past, ...MESSAGES] });
      assert.equal(next.status, 200, next.text);
      assert.ok(!JSON.stringify(fake.seen).includes('long ago'));
    });
  }
});
