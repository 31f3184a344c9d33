import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { PUBLIC } from '#http/route.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { declaredRoutes, ROUTES } from '../harness/route-table.ts';
import { assertSnapshot } from '../harness/snapshot.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
const WHO = ['nobody', 'analyst', 'key of analyst', 'auditor', 'admin'] as const;

/** Path parameters that are well formed, and bodies that pass the schema: what is left is who may. */
const PARAMS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/auth/keys/:id': { id: `key_${'0'.repeat(32)}` },
  '/audit/events/:seq': { seq: '0' },
  '/v1/models/:id': { id: 'demo' },
  '/admin/policies/:version': { version: '1' },
  '/admin/policies/:version/diff': { version: '1' },
  '/admin/policies/:version/rollback': { version: '1' },
  '/v1/receipts/:request': { request: `req_${'0'.repeat(32)}` },
};
const QUERIES: Readonly<Record<string, string>> = {
  '/audit/proof/inclusion': '?seq=0&size=1',
  '/admin/policies/:version/diff': '?against=1',
  '/admin/policies/explain': '?user=analyst&action=infer&resource=model:demo',
  '/audit/proof/consistency': '?from=0&to=1',
};
const BODIES: Readonly<Record<string, object>> = {
  '/auth/login': { username: 'nobody', password: 'nothing' },
  '/auth/password': { current_password: 'wrong', new_password: 'correct horse battery' },
  '/auth/keys': { name: 'x', password: 'wrong' },
  '/admin/policies': { policy: 'x' },
  '/admin/policies/:version/rollback': {},
  '/audit/policies/replay': { policy: 'x' },
  '/auth/step-up': { challenge: `suc_${'a'.repeat(43)}`, code: '000000' },
  '/v1/chat/completions': { model: 'demo', messages: [{ role: 'user', content: 'x' }] },
  '/v1/completions': { model: 'demo', prompt: 'x' },
  '/v1/embeddings': { model: 'vectors', input: 'x' },
};

/** Routes whose answer does not end by itself. */
const ENDLESS: ReadonlySet<string> = new Set(['/admin/models/events']);

describe('promise 11: default deny, for everybody, everywhere', () => {
  let test: TestGateway;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  const headers = new Map<string, Record<string, string>>([['nobody', {}]]);

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open({
      models: { demo: upstreamEntry(upstream.url), vectors: upstreamEntry(upstream.url, { embedding: true }) },
      scoring: { enabled: true },
    });
    for (const role of ['analyst', 'auditor', 'admin'] as const)
      headers.set(role, { ...(await test.signIn(role)).bearer });
    const key = await test.client.request('POST', '/auth/keys', {
      headers: headers.get('analyst') ?? {},
      body: { name: 'matrix', password: test.account('analyst').password },
    });
    headers.set('key of analyst', { 'x-api-key': String(key.json()['key']) });
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  async function ask(method: string, path: string, who: string): Promise<string> {
    const at =
      path.replaceAll(/:(\w+)/g, (_, name: string) => PARAMS[path]?.[name] ?? `missing-${name}`) +
      (QUERIES[path] ?? '');
    const body = ['GET', 'HEAD', 'DELETE'].includes(method) ? undefined : BODIES[path];
    const options = { headers: headers.get(who) ?? {}, ...(body && { body }) };
    if (ENDLESS.has(path)) {
      // Granted, it would last as long as the session.
      const stream = await test.client.open(method, at, options);
      stream.hangUp();
      if (stream.status === 200) return '200';
    }
    const { status, code } = await test.client.request(method, at, options);
    return code === undefined ? String(status) : `${status} ${code}`;
  }

  it('every role × every route × every method is as it was agreed on', async () => {
    const matrix: Record<string, string | Record<string, string>> = {};
    // The end of the session comes last, or there would be nobody left to ask.
    const paths = [...new Set(ROUTES.map(({ path }) => path))].sort();
    paths.sort((a, b) => Number(a === '/auth/logout') - Number(b === '/auth/logout'));
    for (const path of paths) {
      for (const method of METHODS) {
        const row: Record<string, string> = {};
        for (const who of WHO) row[who] = await ask(method, path, who);
        const [same = '', ...others] = new Set(Object.values(row));
        matrix[`${method} ${path}`] = others.length === 0 ? `everybody: ${same}` : row;
      }
    }
    assertSnapshot(new URL('./11-matrix.json', import.meta.url), matrix);
  });

  it('whoever has no credential gets 401 from every route that is not public, and nothing runs', async () => {
    for (const { access, method, path } of ROUTES)
      if (access !== PUBLIC) assert.equal(await ask(method, path, 'nobody'), '401 unauthenticated', path);
    const rows = await test.database.sql("SELECT * FROM entry WHERE kind = 'intent' AND actor = 'anonymous'");
    assert.deepEqual(rows, []);
  });

  it('/openapi.json lists exactly the table', async () => {
    const { paths, openapi } = (await test.client.get('/openapi.json')).json<{
      openapi: string;
      paths: Record<string, Record<string, { operationId: string; security?: unknown[] }>>;
    }>();
    assert.equal(openapi, '3.1.0');
    const listed = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId, security }]) => ({
        route: `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
        id: operationId,
        public: security?.length === 0,
      })),
    );
    const expected = (await declaredRoutes())
      .filter(({ id }) => id !== 'openapi' && ROUTES.some((route) => route.id === id))
      .map(({ route, id, access }) => ({ route, id, public: access === PUBLIC }));
    const byRoute = (a: { route: string }, b: { route: string }) => a.route.localeCompare(b.route);
    assert.deepEqual(listed.sort(byRoute), expected.sort(byRoute));
  });

  it('an account whose roles are none, or none that we know, may do nothing but leave', async () => {
    const session = await test.signIn('analyst');
    for (const roles of ['{}', '{superuser}', '{ANALYST}', '{"analyst|admin"}']) {
      await test.database.sql(`UPDATE account SET roles = '${roles}', epoch = epoch + 1 WHERE username = 'analyst'`);
      for (const path of ['/v1/models', '/v1/usage', '/admin/models', '/audit/events'])
        assert.equal((await test.client.get(path, session.bearer)).status, 403, `${roles} ${path}`);
      const answer = await test.client.post('/v1/chat/completions', BODIES['/v1/chat/completions'], session.bearer);
      assert.deepEqual([answer.status, answer.code], [404, 'model_not_found']);
    }
    await test.database.sql("UPDATE account SET roles = '{analyst}', epoch = epoch + 1 WHERE username = 'analyst'");
    assert.equal((await test.client.get('/v1/models', session.bearer)).status, 200);
  });

  it('promise 12: an account that is disabled is nobody at its next request', async () => {
    const session = await test.signIn('analyst');
    const body = BODIES['/v1/chat/completions'];
    await test.database.sql("UPDATE account SET disabled_at = now(), epoch = epoch + 1 WHERE username = 'analyst'");
    assert.equal((await test.client.post('/v1/chat/completions', body, session.bearer)).status, 401);
    await test.database.sql("UPDATE account SET disabled_at = NULL, epoch = epoch + 1 WHERE username = 'analyst'");
  });
});
