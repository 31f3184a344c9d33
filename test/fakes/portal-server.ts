import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChatRequest } from '#chat/chat.contract.ts';
import type { ApiKey, KeyRequest, LoginRequest, PasswordRequest, User } from '#identity/identity.contract.ts';
import type { UsageResponse } from '#quota/quota.contract.ts';
import { stream } from './portal-answers.ts';
import { ADMIN_MODELS, MODELS, USERS } from './portal-estate.ts';
import { PortalLog } from './portal-log.ts';

/** The header that the portal must live under; the gateway sends the same. */
export const PORTAL_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

export const CODE = '123456';
export const PASSWORD = 'correct horse battery';
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
  /** Milliseconds between two pieces of an answer. */
  stepMs = 15;
  /** How many answers a client hung up on. */
  hangUps = 0;
  readonly #server: Server;
  readonly #sessions = new Map<string, User>();
  readonly #proofs = new Set<string>();
  readonly #log = new PortalLog(Date.now());
  #keys: ApiKey[] = [
    {
      id: `key_${'4f'.repeat(16)}`,
      name: 'month-end report',
      created_at: '2026-10-02T08:15:00Z',
      expires_at: '2027-01-01T00:00:00Z',
      last_used_at: '2026-11-20T23:58:12Z',
    },
    {
      id: `key_${'a1'.repeat(16)}`,
      name: 'notebook',
      created_at: '2026-01-02T08:15:00Z',
      expires_at: '2026-04-01T00:00:00Z',
      last_used_at: null,
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
    this.#sessions.clear();
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
    const body = await readBody(request);
    if (path === 'POST /auth/login') return this.#login(response, body as LoginRequest);
    const token = /__Host-strongroom=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
    const user = this.#sessions.get(token);
    if (user === undefined) return problem(response, url.pathname, 401, 'unauthenticated');
    if (path === 'GET /auth/session') return json(response, 200, { user, expires_at: null });
    if (path === 'GET /v1/models') return json(response, 200, MODELS);
    if (path === 'GET /v1/usage') return json(response, 200, this.#usage());
    if (path === 'GET /admin/models') return json(response, 200, ADMIN_MODELS);
    if (this.faults.auditDown) return problem(response, url.pathname, 503, 'audit_unavailable', { retryAfter: 5 });
    if (path === 'GET /audit/events') return json(response, 200, this.#log.page(url.searchParams));
    if (path.startsWith('GET /audit/events/')) {
      const event = this.#log.get(url.pathname.split('/').at(-1) ?? '');
      return event === undefined ? problem(response, url.pathname, 404, 'not_found') : json(response, 200, event);
    }
    if (path === 'GET /auth/keys') return json(response, 200, { data: this.#keys });
    if (path === 'POST /v1/chat/completions') return this.#chat(response, body as ChatRequest);
    if (path === 'POST /auth/step-up') return this.#stepUp(response, body as { code: string });
    if (path === 'POST /auth/keys') return this.#makeKey(request, response, user, body as KeyRequest);
    if (path.startsWith('DELETE /auth/keys/')) {
      this.#keys = this.#keys.filter(({ id }) => !url.pathname.endsWith(id));
      return json(response, 204, undefined);
    }
    if (path === 'POST /auth/password') {
      if ((body as PasswordRequest).current_password !== PASSWORD)
        return problem(response, url.pathname, 401, 'invalid_credentials');
      this.endSessions();
      return json(response, 204, undefined);
    }
    if (path === 'POST /auth/logout') {
      this.#sessions.delete(token);
      return json(response, 204, undefined);
    }
    return problem(response, url.pathname, 404, 'not_found');
  }

  async #login(response: ServerResponse, { username, password, code }: LoginRequest): Promise<void> {
    await delay(50);
    const user = USERS.find((known) => known.username === username);
    if (user === undefined || password !== PASSWORD) return problem(response, '/auth', 401, 'invalid_credentials');
    if (user.has_totp && code === undefined) return problem(response, '/auth', 401, 'code_required');
    if (user.has_totp && code !== CODE) return problem(response, '/auth', 401, 'invalid_credentials');
    const token = randomBytes(32).toString('hex');
    this.#sessions.set(token, user);
    response.setHeader('set-cookie', `__Host-strongroom=${token}; Path=/; Secure; HttpOnly; SameSite=Strict`);
    json(response, 200, { token, expires_at: new Date(Date.now() + 43_200_000).toISOString(), user });
  }

  async #chat(response: ServerResponse, body: ChatRequest): Promise<void> {
    if (this.faults.quotaGone) return problem(response, '/v1/', 429, 'rate_limit_exceeded', { retryAfter: 20_000 });
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#used++;
    const question = body.messages.at(-1)?.content;
    const whole = await stream(response, body.model, typeof question === 'string' ? question : '', this.stepMs);
    if (!whole) this.hangUps++;
  }

  #stepUp(response: ServerResponse, { code }: { code: string }): void {
    if (code !== CODE) {
      problem(response, '/auth', 401, 'invalid_credentials');
      return;
    }
    const proof = randomBytes(16).toString('hex');
    this.#proofs.add(proof);
    json(response, 200, { proof, expires_in: 120 });
  }

  #makeKey(request: IncomingMessage, response: ServerResponse, user: User, body: KeyRequest): void {
    const proof = String(request.headers['step-up-proof'] ?? '');
    if (user.has_totp && !this.#proofs.delete(proof)) {
      const operation = `Make the API key “${body.name}” for ${user.username}`;
      problem(response, '/auth', 401, 'step_up_required', { challenge: `suc_${'x'.repeat(43)}`, operation });
      return;
    }
    if (!user.has_totp && body.password !== PASSWORD) {
      problem(response, '/auth', 401, 'invalid_credentials');
      return;
    }
    const key: ApiKey = {
      id: `key_${randomBytes(16).toString('hex')}`,
      name: body.name,
      created_at: new Date().toISOString(),
      expires_at: null,
      last_used_at: null,
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
    };
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

interface Extra {
  readonly retryAfter?: number;
  readonly challenge?: string;
  readonly operation?: string;
}

function problem(response: ServerResponse, path: string, status: number, code: string, extra: Extra = {}): void {
  const { retryAfter, ...members } = extra;
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  const message = `The fake says ${code}.`;
  const openAi = path.startsWith('/v1/');
  response.writeHead(status, { 'content-type': openAi ? 'application/json' : 'application/problem+json' });
  const document = openAi
    ? { error: { message, type: 'error', param: null, code } }
    : { type: 'about:blank', title: code, status, detail: message, code, ...members };
  response.end(JSON.stringify(document));
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

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += piece;
  return text === '' ? undefined : JSON.parse(text);
}

if (import.meta.main) {
  const server = new PortalServer();
  console.log(
    `${await server.listen(Number(process.env['PORT'] ?? 8090))} analyst, auditor, admin, everyone: “${PASSWORD}”, code ${CODE}`,
  );
}
