import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ChatRequest } from '#chat/chat.contract.ts';
import type { EnrolRequest } from '#identity/factors.contract.ts';
import type { ApiKey, KeyRequest, LoginRequest } from '#identity/identity.contract.ts';
import type { SignInMethods } from '#identity/oidc.contract.ts';
import type { UsageResponse } from '#quota/quota.contract.ts';
import { stream } from './portal-answers.ts';
import { type Call, CODE, StepUps } from './portal-call.ts';
import { MODELS, PortalEstate } from './portal-estate.ts';
import { PortalKeys } from './portal-keys.ts';
import { PortalLog } from './portal-log.ts';
import { PASSWORD, PortalPeople } from './portal-people.ts';
import { PortalPolicies } from './portal-policies.ts';
import { PortalQuotas } from './portal-quotas.ts';
import { json, problem } from './portal-reply.ts';

export { CODE, PASSWORD };

/** The header that the portal must live under; the gateway sends the same. */
export const PORTAL_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types strongroom-worker";

const DIST = new URL('../../dist/portal/', import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** dist/portal and the shapes of the contracts, without a gateway: enough to hold the portal against. */
export class PortalServer {
  readonly faults = { auditDown: false, quotaGone: false };
  /** What the sign-in page may offer. */
  methods: SignInMethods = { local_accounts: true, oidc: false };
  /** Milliseconds between two pieces of an answer. */
  stepMs = 15;
  /** How many answers a client hung up on. */
  hangUps = 0;
  readonly #server: Server;
  readonly #stepUps = new StepUps();
  readonly #people = new PortalPeople(this.#stepUps);
  readonly #allKeys = new PortalKeys(this.#stepUps);
  readonly estate = new PortalEstate(this.#stepUps);
  readonly #policies = new PortalPolicies(this.#stepUps);
  readonly quotas = new PortalQuotas(this.#stepUps);
  readonly #log = new PortalLog(Date.now());
  #keys: ApiKey[] = [
    {
      id: `key_${'4f'.repeat(16)}`,
      name: 'month-end report',
      created_at: '2026-10-02T08:15:00Z',
      expires_at: '2027-01-01T00:00:00Z',
      last_used_at: '2026-11-20T23:58:12Z',
      models: ['demo', 'qwen3-32b-instruct'],
      actions: ['infer'],
    },
    {
      id: `key_${'a1'.repeat(16)}`,
      name: 'notebook',
      created_at: '2026-01-02T08:15:00Z',
      expires_at: '2026-04-01T00:00:00Z',
      last_used_at: null,
      models: null,
      actions: null,
    },
  ];
  #used = 153;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        console.error(error);
        response.destroy();
      });
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Every session ends, as on the server's restart. */
  endSessions(): void {
    this.#people.endSessions();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = `${request.method} ${url.pathname}`;
    if (request.method === 'GET' && !/^\/(v1|auth|admin|audit)\//.test(url.pathname))
      return file(response, url.pathname);
    response.setHeader('x-request-id', `req_${randomBytes(16).toString('hex')}`);
    const text = await readText(request);
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    if (path === 'POST /auth/login') return this.#people.login(response, body as LoginRequest);
    if (path === 'POST /auth/enrol') return this.#people.enrol(response, body as EnrolRequest);
    if (path === 'GET /auth/methods') return json(response, 200, this.methods);
    const token = /__Host-strongroom=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
    const user = this.#people.signedIn(token);
    if (user === undefined) return problem(response, url.pathname, 401, 'unauthenticated');
    if (path === 'GET /auth/session') return json(response, 200, { user, expires_at: null });
    if (user.must_enrol && !/^\/auth\/(totp|logout)/.test(url.pathname))
      return problem(response, url.pathname, 403, 'forbidden');
    if (path === 'GET /v1/models') return json(response, 200, MODELS);
    if (path === 'GET /v1/usage') return json(response, 200, this.#usage());
    if (path === 'GET /admin/models') return json(response, 200, this.estate.list());
    if (path === 'GET /admin/models/events') return this.estate.follow(response);
    if (this.faults.auditDown) return problem(response, url.pathname, 503, 'audit_unavailable', { retryAfter: 5 });
    return this.#recorded({ request, response, path, url, body, text, user, token });
  }

  async #recorded(call: Call): Promise<void> {
    const { response, path, url, body } = call;
    if (path === 'GET /audit/events') return json(response, 200, this.#log.page(url.searchParams));
    if (path.startsWith('GET /audit/events/')) {
      const event = this.#log.get(url.pathname.split('/').at(-1) ?? '');
      return event === undefined ? problem(response, url.pathname, 404, 'not_found') : json(response, 200, event);
    }
    if (path === 'POST /v1/chat/completions') return this.#chat(response, body as ChatRequest);
    if (path === 'POST /auth/step-up') return this.#stepUps.answer(call);
    if (path.startsWith('POST /admin/models/')) return this.estate.change(call);
    if (/ \/admin\/quotas/.test(path)) return this.quotas.answer(call);
    if (path === 'GET /auth/keys') return json(response, 200, { data: this.#keys });
    if (path === 'POST /auth/keys') return this.#makeKey(call);
    if (path.startsWith('DELETE /auth/keys/')) {
      this.#keys = this.#keys.filter(({ id }) => !url.pathname.endsWith(id));
      return json(response, 204);
    }
    if (this.#policies.answer(call)) return;
    if (this.#allKeys.answer(call, (id) => this.#people.record(id))) return;
    if (!this.#people.answer(call)) problem(response, url.pathname, 404, 'not_found');
  }

  async #chat(response: ServerResponse, body: ChatRequest): Promise<void> {
    if (this.faults.quotaGone) return problem(response, '/v1/', 429, 'rate_limit_exceeded', { retryAfter: 20_000 });
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#used++;
    const question = body.messages.at(-1)?.content;
    const whole = await stream(response, body.model, typeof question === 'string' ? question : '', this.stepMs);
    if (!whole) this.hangUps++;
  }

  #makeKey(call: Call) {
    const { response, user } = call;
    const body = call.body as KeyRequest;
    if (user.has_totp && !this.#stepUps.passes(call, `Make the API key “${body.name}” for ${user.username}`)) return;
    if (!user.has_totp && body.password !== PASSWORD) return problem(response, '/auth', 401, 'invalid_credentials');
    const days = body.expires_in_days;
    const key: ApiKey = {
      id: `key_${randomBytes(16).toString('hex')}`,
      name: body.name,
      created_at: new Date().toISOString(),
      expires_at: days === undefined ? null : new Date(Date.now() + days * 86_400_000).toISOString(),
      last_used_at: null,
      models: body.models ?? null,
      actions: body.actions ?? null,
    };
    this.#keys = [key, ...this.#keys];
    json(response, 201, { ...key, key: `sk-sr_${key.id.slice(4)}_${randomBytes(32).toString('base64url')}` });
  }

  #usage(): UsageResponse {
    const tomorrow = new Date(Date.now() + 6 * 3_600_000).toISOString();
    const budget = (limit: number, used: number) => ({ limit, used, remaining: limit - used });
    return {
      object: 'usage',
      day: '2026-11-21',
      time_zone: 'Asia/Shanghai',
      resets_at: tomorrow,
      requests: budget(1000, this.#used),
      tokens: budget(2_000_000, this.#used * 1207),
      limits: [
        { scope: 'user:usr_1', kind: 'requests_day', ...budget(1000, this.#used), dry_run: false, resets_at: tomorrow },
        {
          scope: 'user:usr_1',
          kind: 'tokens_day',
          ...budget(2_000_000, this.#used * 1207),
          dry_run: false,
          resets_at: tomorrow,
        },
        { scope: 'user:usr_1', kind: 'concurrent', ...budget(64, 1), dry_run: false, resets_at: null },
        { scope: 'model:demo', kind: 'requests_minute', ...budget(600, 87), dry_run: true, resets_at: tomorrow },
      ],
    };
  }
}

async function file(response: ServerResponse, path: string): Promise<void> {
  const name = path === '/' ? 'index.html' : path.slice(1);
  const type = TYPES[name.split('.').at(-1) ?? ''];
  const bytes =
    /^[\w-]+\.[a-z]+$/.test(name) && type !== undefined ? await readFile(new URL(name, DIST)).catch(() => null) : null;
  if (bytes === null || type === undefined) return json(response, 404, { code: 'not_found' });
  response.writeHead(200, {
    'content-type': type,
    'content-security-policy': PORTAL_CSP,
    'x-content-type-options': 'nosniff',
  });
  response.end(bytes);
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += piece;
  return text;
}

if (import.meta.main) {
  const server = new PortalServer();
  console.log(
    `${await server.listen(Number(process.env['PORT'] ?? 8090))} analyst, auditor, admin, everyone: “${PASSWORD}”, code ${CODE}`,
  );
}
