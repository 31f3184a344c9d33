import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { demoEntry, type Session, TestGateway } from '../harness/gateway.ts';
import type { Answer, RequestOptions } from '../harness/https-client.ts';

const LIMIT = 64 * 1024;
const MESSAGES = [{ role: 'user', content: 'What are you?' }];
const ASK = { model: 'demo', messages: MESSAGES, max_tokens: 1 };

describe('bad input is refused in the documented shape', () => {
  let test: TestGateway;
  let analyst: Session;
  let auditor: Session;

  before(async () => {
    test = await TestGateway.open(async () => ({
      models: { demo: await demoEntry({ contextSize: 256 }) },
      http: { bodyLimit: LIMIT },
    }));
    [analyst, auditor] = await Promise.all([test.signIn('analyst'), test.signIn('auditor')]);
  });
  after(() => test[Symbol.asyncDispose]());

  const send = (options: RequestOptions) =>
    test.client.request('POST', '/v1/chat/completions', {
      ...options,
      headers: { ...analyst.bearer, ...options.headers },
    });
  const ask = (change: object) => send({ body: { ...ASK, ...change } });
  const raw = (text: string | Buffer) => send({ raw: text });

  function assertRefused(answer: Answer, status: number, code: string, param: string | null = null): void {
    assert.deepEqual([answer.status, answer.code], [status, code], answer.text);
    const { error } = answer.json<{ error: Record<string, unknown> }>();
    assert.ok(['message', 'type', 'param', 'code'].every((name) => name in error));
    assert.equal(error['param'], param);
    assert.ok(answer.headers['x-request-id']);
  }

  describe('JSON', () => {
    const cases: [string, string | Buffer][] = [
      ['not JSON', '{"model": "demo", '],
      ['an empty body', ''],
      ['a byte order mark', `\ufeff${JSON.stringify(ASK)}`],
      [
        'not UTF-8',
        Buffer.concat([Buffer.from('{"model":"demo","messages":"'), Buffer.from([0xff]), Buffer.from('"}')]),
      ],
      ['half a character', Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xe4, 0xbd]), Buffer.from('"}')])],
      ['a surrogate in UTF-8', Buffer.concat([Buffer.from('"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"')])],
      ['33 levels', `${'['.repeat(33)}${']'.repeat(33)}`],
      ['30,000 levels', '['.repeat(30_000)],
      ['30,000 objects', '{"a":'.repeat(10_000)],
    ];
    for (const [name, text] of cases) it(name, async () => assertRefused(await raw(text), 400, 'invalid_json'));

    it('32 levels are not too many', async () => {
      const deep = `${'['.repeat(31)}${']'.repeat(31)}`;
      assert.equal((await raw(`{"metadata":${deep},${JSON.stringify(ASK).slice(1)}`)).status, 200);
    });
    it('brackets in text are text', async () => {
      assert.equal((await ask({ user: `\\"${'['.repeat(100)}` })).status, 200);
    });
    it('U+0000 and half a surrogate pair, as escapes, anywhere', async () => {
      for (const escaped of ['\\u0000', '\\ud800', '\\udc00', '\\ud800\\ud800']) {
        for (const text of [
          JSON.stringify(ASK).replace('What', `What${escaped}`),
          JSON.stringify(ASK).replace('"demo"', `"demo${escaped}"`),
          `{"x${escaped}": 1, ${JSON.stringify(ASK).slice(1)}`,
          `{"x": {"y": ["${escaped}"]}, ${JSON.stringify(ASK).slice(1)}`,
        ])
          assertRefused(await raw(text), 400, 'invalid_parameter');
      }
      assert.equal((await raw(JSON.stringify(ASK).replace('What', '\\ud83d\\ude42'))).status, 200);
    });
  });

  describe('schema', () => {
    const wrong: [string, object, string][] = [
      ['messages missing', { messages: undefined }, 'messages'],
      ['messages a string', { messages: 'hello' }, 'messages'],
      ['content a number', { messages: [{ role: 'user', content: 1 }] }, 'messages[0].content'],
      ['stream a string', { stream: 'true' }, 'stream'],
      ['max_tokens a string', { max_tokens: '5' }, 'max_tokens'],
      ['model an object', { model: { toString: 'demo' } }, 'model'],
    ];
    for (const [name, change, param] of wrong)
      it(`${name}: 422`, async () => assertRefused(await ask(change), 422, 'schema_invalid', param));

    const outside: [string, object, string][] = [
      ['n=9', { n: 9 }, 'n'],
      ['temperature=3', { temperature: 3 }, 'temperature'],
      ['top_p=0', { top_p: 0 }, 'top_p'],
      ['max_tokens=0', { max_tokens: 0 }, 'max_tokens'],
      ['max_tokens beyond all measure', { max_tokens: Number.MAX_SAFE_INTEGER }, 'max_tokens'],
      ['seed=-1', { seed: -1 }, 'seed'],
      ['five stops', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
      ['no messages', { messages: [] }, 'messages'],
      ['a role that is none', { messages: [{ role: 'root', content: 'x' }] }, 'messages[0].role'],
    ];
    for (const [name, change, param] of outside)
      it(`${name}: 400`, async () => assertRefused(await ask(change), 400, 'invalid_parameter', param));

    it('an array is not a request', async () => assertRefused(await raw('[]'), 422, 'schema_invalid'));
    it('unknown members are ignored, null members absent', async () => {
      assert.equal((await ask({ user: 'x', logit_bias: {}, temperature: null, stop: null, n: null })).status, 200);
    });
    it('__proto__ is a member like any other', async () => {
      assert.equal((await raw(`{"__proto__": {"model": "x"}, ${JSON.stringify(ASK).slice(1)}`)).status, 200);
    });
  });

  describe('size and kind', () => {
    const large = JSON.stringify({ ...ASK, messages: [{ role: 'user', content: 'x'.repeat(LIMIT) }] });

    it('too large, announced', async () => assertRefused(await raw(large), 413, 'payload_too_large'));
    it('too large, chunked', async () => {
      assertRefused(await send({ raw: large, chunked: true }), 413, 'payload_too_large');
    });
    it('far too large, announced and chunked: still an answer and not a broken connection', async () => {
      const huge = 'x'.repeat(4 * 1024 * 1024);
      assertRefused(await send({ raw: huge }), 413, 'payload_too_large');
      assertRefused(await send({ raw: huge, chunked: true }), 413, 'payload_too_large');
    });
    it('chunked and small is fine', async () => {
      assert.equal((await send({ raw: JSON.stringify(ASK), chunked: true })).status, 200);
    });
    it('another content type', async () => {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', ''])
        assertRefused(
          await send({ raw: JSON.stringify(ASK), headers: { 'content-type': type } }),
          415,
          'unsupported_media_type',
        );
    });
    it('a body where the route takes none', async () => {
      const answer = await test.client.request('POST', '/auth/logout', { headers: analyst.bearer, body: {} });
      assert.deepEqual([answer.status, answer.code], [400, 'invalid_request']);
    });
    it('is not looked at before the credential is', async () => {
      const answer = await test.client.request('POST', '/v1/chat/completions', { raw: large });
      assertRefused(answer, 401, 'unauthenticated');
    });
  });

  it('an unknown model is 404 and a denial on the record', async () => {
    const answer = await ask({ model: 'gpt-4o' });
    assertRefused(answer, 404, 'model_not_found');
    const [denial, ...more] = await test.recorded(String(answer.headers['x-request-id']));
    assert.deepEqual([denial?.kind, denial?.outcome, denial?.resource], ['denial', 'denied', 'model:gpt-4o']);
    assert.deepEqual(more, []);
    assert.equal(answer.headers['x-ratelimit-limit-requests'], undefined);
  });

  it('a prompt that is longer than the context names both sizes and costs nothing', async () => {
    const before = await test.usage(analyst);
    const answer = await ask({ messages: [{ role: 'user', content: 'x y z '.repeat(2000) }] });
    assertRefused(answer, 400, 'context_length_exceeded', 'messages');
    const { error } = answer.json<{ error: { message: string } }>();
    assert.match(error.message, /\b256\b/);
    assert.match(error.message, /\b\d{3,5}\b.*\d/);
    assert.deepEqual(await test.usage(analyst), before);
    const outcome = await test.outcome(String(answer.headers['x-request-id']));
    assert.deepEqual([outcome.outcome, outcome.event['outcome_code']], ['not_run', 'context_length_exceeded']);
  });

  describe('query and path', () => {
    const events = (query: string) => test.client.get(`/audit/events?${query}`, auditor.bearer);

    it('a repeated parameter', async () => {
      const answer = await events('limit=1&limit=2');
      assert.deepEqual([answer.status, answer.code], [400, 'invalid_parameter']);
      assert.equal(answer.json()['param'], 'limit');
    });
    it('out of bounds and of the wrong kind', async () => {
      for (const query of ['limit=0', 'limit=201', 'limit=abc', 'cursor=-1', 'from=yesterday', 'cursor=1e3']) {
        const { status, code } = await events(query);
        assert.deepEqual([status, code], [400, 'invalid_parameter'], query);
      }
    });
    it('U+0000 in a parameter', async () => {
      for (const query of ['actor=a%00b', 'action=%00', '%00=1', 'request_id=%00'])
        assert.deepEqual([(await events(query)).status], [400], query);
    });
    it('the longest filters of the oddest characters are still recorded', async () => {
      const odd = encodeURIComponent('\u0001'.repeat(100));
      const wide = encodeURIComponent('审'.repeat(100));
      for (const text of [odd, wide, '%22'.repeat(100)]) {
        const names = ['actor', 'action', 'resource', 'outcome', 'request_id'];
        const answer = await events(names.map((name) => `${name}=${text}`).join('&'));
        assert.equal(answer.status, 200, answer.text);
      }
    });
    it('a name of a model that can be none', async () => {
      for (const name of ['%00', 'a%2fb', '..%2f..', 'a%20b', `${'a'.repeat(65)}`]) {
        const answer = await test.client.get(`/v1/models/${name}`, analyst.bearer);
        assert.ok([400, 404].includes(answer.status), answer.text);
      }
    });
    it('seq out of range', async () => {
      for (const seq of ['-1', '01', '9'.repeat(19), '1e3'])
        assert.equal((await test.client.get(`/audit/events/${seq}`, auditor.bearer)).status, 400);
      assert.equal((await test.client.get(`/audit/events/${'9'.repeat(18)}`, auditor.bearer)).status, 404);
    });
  });
});
