import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PUBLIC } from '#http/route.ts';
import { declaredRoutes, ROUTES } from './harness/route-table.ts';
import { assertSnapshot } from './harness/snapshot.ts';

describe('the route table', () => {
  it('is the one that was agreed on', async () => {
    assertSnapshot(new URL('./routes.json', import.meta.url), await declaredRoutes());
  });
  it('has each name and each path once', () => {
    const paths = ROUTES.map(({ method, path }) => `${method} ${path}`);
    assert.equal(new Set(paths).size, paths.length);
    assert.equal(new Set(ROUTES.map(({ id }) => id)).size, ROUTES.length);
  });
  it('spells paths in one way', () => {
    for (const { path } of ROUTES) assert.match(path, /^(\/(:?[a-z][a-z0-9-]*|openapi\.json|v1))+$/);
  });
  it('is public in these places and no other', () => {
    assert.deepEqual(
      ROUTES.filter(({ access }) => access === PUBLIC).map(({ id }) => id),
      [
        'auth.login',
        'auth.enrol',
        'auth.webauthn.sign-in.options',
        'auth.webauthn.sign-in',
        'auth.methods',
        'health',
        'health.live',
        'health.ready',
        'openapi',
      ],
    );
  });
  it('lets no API key do what an admin or an auditor does', () => {
    for (const route of ROUTES)
      if (/^\/(admin|audit)\//.test(route.path)) assert.ok(route.access !== PUBLIC && route.credentials === 'session');
  });
  it('records everything that it counts, and every change below /admin', () => {
    for (const route of ROUTES) {
      if (route.access === PUBLIC) continue;
      if (route.counts !== 'none') assert.equal(route.records, 'full', route.id);
      if (route.path.startsWith('/admin/') && route.method !== 'GET') assert.equal(route.records, 'full', route.id);
    }
  });
});
