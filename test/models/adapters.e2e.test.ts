import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sha256 } from '../engine/demo.ts';
import { demoEntry, eventually, type Session, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, stepped } from '../identity/people.ts';

const POLICY = readFileSync(new URL('../../policies/policy.csv', import.meta.url), 'utf8');
const at = (name: string) => fileURLToPath(new URL(`../../models/demo/${name}.gguf`, import.meta.url));

describe('a model with an adapter in the catalogue', () => {
  let test: TestGateway;
  let analyst: Session;
  let digest: string;
  before(async () => {
    digest = sha256(await readFile(at('formal-letters')));
    const letters = { file: at('formal-letters'), sha256: digest, scale: 0.5 };
    const base = { file: at('demo'), sha256: sha256(await readFile(at('demo'))) };
    const adapters = { letters, secret: { ...letters, classification: 4 } };
    test = await TestGateway.open({ models: { demo: await demoEntry({ ...base, parallel: 1, adapters }) } });
    analyst = await test.signIn('analyst');
  });
  after(() => test[Symbol.asyncDispose]());

  const ask = (model: string) =>
    test.client.post(
      '/v1/chat/completions',
      { model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4 },
      analyst.bearer,
    );

  it('is listed by its own name, and by its own classification', async () => {
    const { data } = (await test.client.get('/v1/models', analyst.bearer)).json<{ data: { id: string }[] }>();
    assert.deepEqual(
      data.map(({ id }) => id),
      ['demo', 'demo+letters'],
    );
    const one = await test.client.get('/v1/models/demo%2Bletters', analyst.bearer);
    assert.equal(one.json<{ id: string }>().id, 'demo+letters');
    assert.equal((await ask('demo+secret')).status, 404);
  });

  it('as shipped, policy approves of no adapter: refused, on the record, and the model alone is not put in its place', async () => {
    const answer = await ask('demo+letters');
    assert.deepEqual([answer.status, answer.json<{ error: { code: string } }>().error.code], [400, 'out_of_bounds']);
    const [denial] = await test.recorded(String(answer.headers['x-request-id']));
    assert.match(String(denial?.event['bound']), /analyst-adapters/);
    assert.equal((await ask('demo')).status, 200);
  });

  it('where policy names it, it answers, and the record holds the digests of weights, adapter and template', async () => {
    const admin = await firstAdmin(test);
    const policy = POLICY.replace('adapters, none, refuse', 'adapters, letters, clamp');
    const imported = await stepped(test, admin, { method: 'POST', path: '/admin/policies', body: { policy } });
    assert.equal(imported.status, 201, imported.text);
    // What a new policy allows is allowed when its news has come; what it forbids is forbidden at once.
    const answer = await eventually(async () => {
      const one = await ask('demo+letters');
      return one.status === 200 ? one : null;
    });
    const { event, resource } = await test.outcome(String(answer.headers['x-request-id']));
    assert.equal(resource, 'model:demo+letters');
    assert.deepEqual(
      [event['adapter_sha256'], event['adapter_scale'], event['weights_sha256'] === digest],
      [digest, '0.5', false],
    );
    const plain = await test.outcome(String((await ask('demo')).headers['x-request-id']));
    assert.equal(plain.event['adapter_sha256'], null);
    const { data } = (await test.client.get('/admin/models', admin.bearer)).json<{
      data: { id: string; adapter: object | null; memory: { estimated: { ram: number } } }[];
    }>();
    assert.deepEqual(data[1]?.adapter, { name: 'letters', digest, scale: 0.5 });
    assert.ok((data[1]?.memory.estimated.ram ?? 0) > (data[0]?.memory.estimated.ram ?? 0));
  });
});

describe('an approved system prompt', () => {
  it('whose file is another one stops the start', async () => {
    const file = fileURLToPath(new URL('../../models/demo/chat-template.jinja', import.meta.url));
    for (const prompts of [[{ file, sha256: 'a'.repeat(64) }], [{ file: '/nowhere', sha256: 'a'.repeat(64) }]])
      await assert.rejects(TestGateway.open({ models: { demo: await demoEntry({ systemPrompts: prompts }) } }));
  });
});
