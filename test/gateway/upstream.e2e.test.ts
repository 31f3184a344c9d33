import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadConfig } from '#config/load.ts';
import { storyOf, type Told } from '#portal/decision-story.ts';
import { DEMO_TEXT } from '../engine/demo.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { demoEntry, eventually, present, type Session, TestGateway, temporaryFolder } from '../harness/gateway.ts';

const CHAT = '/v1/chat/completions';
const ask = (model: string, change: object = {}) => ({
  model,
  messages: [{ role: 'user', content: 'Hello' }],
  ...change,
});

async function metricsOf(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(`http://${address}/metrics`, async (response) => {
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      resolve(text);
    }).on('error', reject);
  });
}

describe('a model on several servers, behind the whole gateway', () => {
  let servers: [FakeUpstream, FakeUpstream];
  let test: TestGateway;
  let analyst: Session;
  let admin: Session;
  before(async () => {
    servers = [await startFakeUpstream(), await startFakeUpstream()];
    const habits = { model: 'fake', probeSeconds: 0.2, breakerFailures: 2, breakerSeconds: 0.2 };
    test = await TestGateway.open({
      models: { big: { upstream: { urls: servers.map(({ url }) => url), ...habits } } },
    });
    analyst = await test.signIn('analyst');
    admin = await test.signIn('admin');
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await Promise.all(servers.map((server) => server.close()));
  });
  const model = async () => {
    const { data } = (await test.client.get('/admin/models', admin.bearer)).json<{
      data: { state: string; memory: unknown; replicas: { name: string; state: string; busy: number }[] }[];
    }>();
    return present(data[0]);
  };
  const events = async () => {
    const rows = await test.database.sql<{ action: string; kind: string; record: string }>(
      "SELECT action, kind, record FROM entry WHERE action LIKE 'model.%vailable' ORDER BY seq",
    );
    return rows.map(({ action, kind, record }) => [action, kind, JSON.parse(record).event.how]);
  };

  it('each user’s cache is his own, by a salt that does not name him', async () => {
    await test.client.post(CHAT, ask('big'), analyst.bearer);
    const { body } = present(servers.flatMap(({ seen }) => seen).at(-1));
    assert.match(String(body['cache_salt']), /^[0-9a-f]{64}$/);
    assert.ok(!JSON.stringify(body).includes(analyst.subject));
  });

  it('admins see each server; it takes no memory of this machine', async () => {
    const { state, memory, replicas } = await model();
    assert.equal(state, 'ready');
    assert.deepEqual(memory, { estimated: { ram: 0, vram: 0 }, measured: null });
    assert.deepEqual(
      replicas.map((replica) => [replica.name, replica.state, replica.busy]),
      servers.map(({ url }) => [new URL(url).host, 'closed', 0]),
    );
    const list = await test.client.get('/v1/models', analyst.bearer);
    assert.doesNotMatch(list.text, /127\.0\.0\.1/);
  });

  it('the record says which of them answered, and so the auditor’s page and the caller’s receipt; the list does not', async () => {
    const before = servers.map(({ seen }) => seen.length);
    const answer = await test.client.post(CHAT, ask('big', { n: 2, seed: 1 }), analyst.bearer);
    assert.equal(answer.status, 200, answer.text);
    const asked = servers.filter(({ seen }, at) => seen.length > (before[at] ?? 0));
    const { event } = await test.outcome(String(answer.headers['x-request-id']));
    const said = String(event['answered_by']).split(', ');
    assert.deepEqual(new Set(said), new Set(asked.map(({ url }) => new URL(url).host)));
    const story = storyOf([
      { kind: 'outcome', resource: 'model:big', outcome: 'completed', facts: event } as unknown as Told,
    ]);
    assert.ok(story.some(({ kind, facts }) => kind === 'made' && facts.some(({ name }) => name === 'answered_by')));
  });

  it('one server gone: the other answers. Both: 503, on the record once, nothing counted; and back by itself', async () => {
    const [first, second] = servers;
    const ports = servers.map(({ url }) => Number(new URL(url).port));
    await first.close();
    assert.equal((await test.client.post(CHAT, ask('big'), analyst.bearer)).status, 200);
    await eventually(async () => (await model()).replicas[0]?.state !== 'closed');
    assert.deepEqual(await events(), []);
    await second.close();
    await eventually(async () => (await events()).length === 1);
    assert.deepEqual(await events(), [['model.unavailable', 'system', '0 of 2 servers']]);
    await eventually(async () => (await model()).state === 'failed');
    const before = await test.usage(analyst);
    const refused = await test.client.post(CHAT, ask('big'), analyst.bearer);
    assert.deepEqual([refused.status, refused.code], [503, 'engine_failed']);
    assert.ok(Number(refused.headers['retry-after']) >= 1);
    assert.deepEqual(await test.usage(analyst), before);

    servers = [await startFakeUpstream({}, ports[0]), await startFakeUpstream({}, ports[1])];
    await eventually(async () => (await model()).replicas.every(({ state }) => state === 'closed'));
    await eventually(async () => (await events()).length === 2);
    assert.deepEqual((await events())[1], ['model.available', 'system', '1 of 2 servers']);
    assert.equal((await test.client.post(CHAT, ask('big'), analyst.bearer)).status, 200);
  });

  it('metrics of each server, and of what its answers are found to be', async () => {
    const text = await metricsOf(test.gateway.metricsAddress);
    for (const { url } of servers)
      assert.match(text, new RegExp(`strongroom_upstream_up\\{model="big",server="${new URL(url).host}"\\} 1`));
    assert.match(text, /strongroom_upstream_answers\{model="big",server="[^"]+"\} [1-9]/);
    assert.match(text, /strongroom_upstream_miscounted\{model="big"\} 0/);
  });

  it('unload is out of service, load is in service again', async () => {
    const post = async (verb: string) => {
      const path = `/admin/models/big/${verb}`;
      const challenged = await test.client.post(path, undefined, admin.bearer);
      const { challenge } = challenged.json<{ challenge: string }>();
      const stepped = await test.client.post('/auth/step-up', { challenge, code: await test.code() }, admin.bearer);
      const { proof } = stepped.json<{ proof: string }>();
      return test.client.post(path, undefined, { ...admin.bearer, 'step-up-proof': proof });
    };
    assert.equal((await post('unload')).status, 202);
    await eventually(async () => (await model()).state === 'unloaded');
    assert.deepEqual((await model()).replicas, []);
    const refused = await test.client.post(CHAT, ask('big'), analyst.bearer);
    assert.equal(refused.code, 'model_not_loaded');
    assert.equal((await post('load')).status, 202);
    await eventually(async () => (await model()).state === 'ready');
    assert.equal((await test.client.post(CHAT, ask('big'), analyst.bearer)).status, 200);
  });

  it('says nothing of addresses’ secrets, prompts or answers in its log', () => {
    assert.doesNotMatch(JSON.stringify(test.log), /Hello|The upstream/);
  });
});

describe('a Strongroom behind a Strongroom', () => {
  let inner: TestGateway;
  let outer: TestGateway;
  let analyst: Session;
  before(async () => {
    inner = await TestGateway.open(async () => ({ models: { demo: await demoEntry() } }));
    const { bearer } = await inner.signIn('analyst');
    const { password } = inner.account('analyst');
    const made = await inner.client.post('/auth/keys', { name: 'outer', password }, bearer);
    outer = await TestGateway.open(async (folder) => {
      await writeFile(join(folder, 'key'), made.json<{ key: string }>().key);
      await writeFile(join(folder, 'ca.pem'), inner.authority);
      const upstream = {
        url: inner.url,
        model: 'demo',
        apiKeyFile: 'key',
        caFile: 'ca.pem',
        probePath: 'health/ready',
      };
      return { models: { far: { contextSize: 1024, upstream } } };
    });
    analyst = await outer.signIn('analyst');
  });
  after(async () => {
    await outer[Symbol.asyncDispose]();
    await inner[Symbol.asyncDispose]();
  });

  it('answers whole and streamed, with the same count on both records', async () => {
    const whole = await outer.client.post(CHAT, ask('far'), analyst.bearer);
    assert.equal(whole.status, 200, whole.text);
    const { usage, choices } = whole.json<{
      usage: { total_tokens: number };
      choices: { message: { content: string } }[];
    }>();
    assert.equal(choices[0]?.message.content, DEMO_TEXT);
    const streamed = await outer.client.post(CHAT, ask('far', { stream: true }), analyst.bearer);
    assert.match(streamed.text, /data: \[DONE\]/);
    const tokens = async (test: TestGateway) => {
      const rows = await test.database.sql<{ record: string }>(
        "SELECT record FROM entry WHERE kind = 'outcome' AND action = 'infer' ORDER BY seq LIMIT 1",
      );
      const { prompt_tokens, completion_tokens } = JSON.parse(present(rows[0]).record).event;
      return prompt_tokens + completion_tokens;
    };
    assert.equal(await tokens(inner), await tokens(outer));
    assert.equal(usage.total_tokens, await tokens(outer));
  });

  it('whoever speaks for several people keeps their caches apart by a salt', async () => {
    const { bearer } = await inner.signIn('analyst');
    const messages = [{ role: 'user', content: 'A question that nobody has asked before: 1234567890?' }];
    const cached = async (cache_salt: string) => {
      const answer = await inner.client.post(CHAT, ask('demo', { cache_salt, messages }), bearer);
      return answer.json<{ usage: { prompt_tokens_details: { cached_tokens: number } } }>().usage.prompt_tokens_details
        .cached_tokens;
    };
    assert.equal(await cached('mei'), 0);
    assert.ok((await cached('mei')) > 0);
    assert.equal(await cached('wei'), 0);
  });

  it('a prompt that is too long is refused as one, with the figures', async () => {
    const long = ask('far', { messages: [{ role: 'user', content: 'word '.repeat(3000) }] });
    const refused = await outer.client.post(CHAT, long, analyst.bearer);
    assert.deepEqual([refused.status, refused.code], [400, 'context_length_exceeded']);
  });
});

it('the sample configuration is one, and checks itself', async () => {
  const deploy = join(import.meta.dirname, '..', '..', 'deploy');
  const { config } = loadConfig({ STRONGROOM_CONFIG: 'upstream.yaml' }, deploy);
  assert.deepEqual(Object.keys(config.models ?? {}), ['qwen-72b', 'ray-model', 'research']);
});

it('a configuration that names no server, or one twice, is none', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'strongroom.yaml');
  for (const [upstream, fault] of [
    [{ model: 'm' }, /either url or urls/],
    [{ model: 'm', url: 'http://a', urls: ['http://b'] }, /either url or urls/],
    [{ model: 'm', urls: ['http://a', 'http://a'] }, /twice/],
    [{ model: 'm', url: 'http://a', certFile: 'a.pem' }, /certFile and keyFile belong together/],
    [{ model: 'm', urls: ['http://a', 'http://b'], names: ['a'] }, /one name for each/],
    [{ model: 'm', urls: ['http://a', 'http://b'], names: ['a', 'a'] }, /one name for each/],
    [{ model: 'm', url: 'http://user:secret@a' }, /upstream\.url/],
  ] as const) {
    // JSON is YAML.
    await writeFile(file, JSON.stringify({ models: { m: { upstream } } }));
    const load = () => loadConfig({ STRONGROOM_CONFIG: file }, folder);
    assert.throws(load, (error: Error) => fault.test(error.message) && !error.message.includes('secret'));
  }
  await rm(folder, { recursive: true });
});
