import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { EnrolRequest, TotpActivation, TotpRequest } from '#identity/factors.contract.ts';
import type { LoginRequest, PasswordRequest, User } from '#identity/identity.contract.ts';
import type { SessionInfo } from '#identity/sessions.contract.ts';
import type { Invitation, NewUser, UserChange, UserRecord } from '#identity/users.contract.ts';
import { type Call, CODE, type StepUps, USED_CODE } from './portal-call.ts';
import { json, problem } from './portal-reply.ts';

export const PASSWORD = 'correct horse battery';
/** A recovery code that everybody with a second factor has. */
export const RECOVERY_CODE = 'k7qa-2mzd-x5yt-w3bn';
export const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
/** Of an account that nobody has enrolled yet: `newcomer`, an administrator. */
export const ENROLMENT_TOKEN = `sre_${'n'.repeat(43)}`;
const LOCKED = 'locked';

interface Person {
  readonly record: UserRecord;
  readonly password: string;
  readonly token: string | null;
}

interface Session extends SessionInfo {
  readonly userId: string;
}

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');
const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();

const person = (username: string, roles: UserRecord['roles'], rest: Partial<UserRecord> = {}): Person => ({
  record: {
    id: `usr_${Buffer.from(username).toString('hex').padEnd(32, '0').slice(0, 32)}`,
    username,
    roles,
    attributes: { department: 'risk', clearance: 2, branch: 'Zürich', certifications: ['credit-risk'] },
    state: 'active',
    has_totp: false,
    has_passkey: false,
    created_at: '2026-09-14T07:30:00Z',
    last_sign_in_at: ago(60 * 26),
    ...rest,
  },
  password: PASSWORD,
  token: null,
});

/** Accounts, sessions and second factors, as far as the portal can see them. */
export class PortalPeople {
  #people: Person[] = [
    person('analyst', ['analyst']),
    person('auditor', ['auditor'], {
      attributes: { department: 'audit', clearance: 3, branch: 'Bern', certifications: [] },
    }),
    person('admin', ['admin'], {
      has_totp: true,
      attributes: { department: 'operations', clearance: 1, branch: '', certifications: [] },
    }),
    person('everyone', ['analyst', 'auditor', 'admin'], { has_totp: true }),
    person('batch', ['service'], { last_sign_in_at: null }),
    {
      ...person('newcomer', ['admin'], { state: 'invited', last_sign_in_at: null }),
      password: '',
      token: ENROLMENT_TOKEN,
    },
    person('j.okafor', ['analyst'], {
      state: 'disabled',
      attributes: { department: 'treasury', clearance: 0, branch: '上海', certifications: [] },
    }),
  ];
  #sessions = new Map<string, Session>();
  readonly #stepUps: StepUps;

  constructor(stepUps: StepUps) {
    this.#stepUps = stepUps;
  }

  endSessions(): void {
    this.#sessions.clear();
  }

  signedIn(token: string): User | undefined {
    const session = this.#sessions.get(token);
    const found = this.#people.find(({ record }) => record.id === session?.userId);
    return found === undefined ? undefined : userOf(found.record);
  }

  async login(response: ServerResponse, { username, password, code }: LoginRequest): Promise<void> {
    await delay(50);
    if (username === LOCKED) return problem(response, '/auth', 429, 'too_many_attempts', { retryAfter: 840 });
    const found = this.#people.find(({ record }) => record.username === username && record.state !== 'disabled');
    if (found === undefined || found.password === '' || password !== found.password)
      return problem(response, '/auth', 401, 'invalid_credentials');
    const { has_totp } = found.record;
    if (has_totp && code === undefined) return problem(response, '/auth', 401, 'code_required');
    if (has_totp && code === USED_CODE) return problem(response, '/auth', 401, 'code_used', { retryAfter: 17 });
    if (has_totp && code !== CODE && code !== RECOVERY_CODE)
      return problem(response, '/auth', 401, 'invalid_credentials');
    const token = hex(32);
    const factor = code === RECOVERY_CODE ? 'recovery code' : 'totp';
    if (this.#sessions.size === 0) this.#open(hex(32), found.record.id, ['password'], 190);
    this.#open(token, found.record.id, has_totp ? ['password', factor] : ['password'], 0);
    response.setHeader('set-cookie', `__Host-strongroom=${token}; Path=/; Secure; HttpOnly; SameSite=Strict`);
    json(response, 200, { token, expires_at: ago(-720), user: userOf(found.record) });
  }

  enrol(response: ServerResponse, { token, password }: EnrolRequest) {
    const found = this.#people.find((known) => known.token === token);
    if (found === undefined) return problem(response, '/auth', 404, 'not_found');
    if (password.length < 15)
      return problem(response, '/auth', 400, 'invalid_parameter', { message: 'A password has 15 to 128 characters.' });
    this.#put({ ...found, password, token: null, record: { ...found.record, state: 'active' } });
    json(response, 200, { username: found.record.username, must_enrol: userOf(found.record).must_enrol });
  }

  record(id: string): UserRecord | undefined {
    return this.#find(id)?.record;
  }

  /** True where the path was one of ours. */
  answer(call: Call): boolean {
    const { path, response, user, url } = call;
    if (path === 'POST /auth/logout') this.#end(response, call.token);
    else if (path === 'GET /auth/sessions') json(response, 200, { data: this.#own(call) });
    else if (path.startsWith('DELETE /auth/sessions/')) {
      const found = [...this.#sessions].find(([, { id }]) => url.pathname.endsWith(id));
      if (found === undefined) problem(response, url.pathname, 404, 'not_found');
      else this.#end(response, found[0]);
    } else if (path === 'POST /auth/password') this.#changePassword(call);
    else if (path === 'POST /auth/totp/enrol') this.#beginTotp(call);
    else if (path === 'POST /auth/totp/activate') this.#activateTotp(call);
    else if (path === 'GET /admin/users') json(response, 200, { data: this.#people.map(({ record }) => record) });
    else if (url.pathname.startsWith('/admin/users')) this.#administer(call);
    else return false;
    return user !== undefined;
  }

  #own({ token, user }: Call): SessionInfo[] {
    return [...this.#sessions]
      .filter(([, { userId }]) => userId === user.id)
      .map(([key, { userId: _userId, ...session }]) => ({ ...session, current: key === token }));
  }

  #end(response: ServerResponse, token: string): void {
    this.#sessions.delete(token);
    json(response, 204);
  }

  #changePassword({ response, body, user }: Call) {
    const { current_password, new_password } = body as PasswordRequest;
    const found = this.#find(user.id);
    if (found === undefined || current_password !== found.password)
      return problem(response, '/auth', 401, 'invalid_credentials');
    this.#put({ ...found, password: new_password });
    this.endSessions();
    json(response, 204);
  }

  #beginTotp(call: Call) {
    const { response, body, user } = call;
    if (user.has_totp && !this.#stepUps.passes(call, `Replace the second factor of ${user.username}`)) return;
    if (!user.has_totp && (body as TotpRequest).password !== this.#find(user.id)?.password)
      return problem(response, '/auth', 401, 'invalid_credentials');
    const uri = `otpauth://totp/Strongroom:${user.username}?secret=${SECRET}&issuer=Strongroom&algorithm=SHA1&digits=6&period=30`;
    json(response, 200, { secret: SECRET, uri, algorithm: 'SHA1', digits: 6, period: 30 });
  }

  #activateTotp({ response, body, user }: Call) {
    const found = this.#find(user.id);
    if (found === undefined || (body as TotpActivation).code !== CODE)
      return problem(response, '/auth', 401, 'invalid_credentials');
    this.#put({ ...found, record: { ...found.record, has_totp: true } });
    this.endSessions();
    const more = Array.from(
      { length: 9 },
      () =>
        hex(8)
          .replace(/[0189]/g, 'q')
          .match(/.{4}/g)
          ?.join('-') ?? '',
    );
    json(response, 200, { recovery_codes: [RECOVERY_CODE, ...more] });
  }

  #administer(call: Call) {
    const { response, body, url, path } = call;
    if (path === 'POST /admin/users') return this.#invite(call, body as NewUser);
    const [, id = '', verb = ''] = /^\/admin\/users\/([^/]+)\/?(\w*)$/.exec(url.pathname) ?? [];
    const found = this.#find(id);
    if (found === undefined) return problem(response, url.pathname, 404, 'not_found');
    if (!this.#stepUps.passes(call, operationOf(verb, found.record.username, body))) return;
    if (verb === 'disable' && found.record.id === call.user.id)
      return problem(response, '/admin', 409, 'conflict', { message: 'You can’t disable your own account.' });
    if (verb === 'reset') return this.#answerInvitation(response, 200, found);
    if (verb === 'erase') {
      this.#people = this.#people.filter((person) => person !== found);
      response.writeHead(204).end();
      return;
    }
    const { roles, ...change } = (body ?? {}) as UserChange;
    const state = verb === '' ? found.record.state : verb === 'disable' ? 'disabled' : 'active';
    const record: UserRecord = {
      ...found.record,
      state,
      ...(roles === undefined ? {} : { roles }),
      attributes: Object.assign({}, found.record.attributes, change),
    };
    this.#put({ ...found, record });
    json(response, 200, record);
  }

  #invite(call: Call, { username, roles, ...attributes }: NewUser) {
    if (!this.#stepUps.passes(call, `Make the account ${username} with the roles ${roles.join(', ')}`)) return;
    if (this.#people.some(({ record }) => record.username === username))
      return problem(call.response, '/admin', 409, 'conflict', { message: 'This username is taken.' });
    const created_at = new Date().toISOString();
    this.#answerInvitation(
      call.response,
      201,
      person(username, roles, { attributes, created_at, last_sign_in_at: null }),
    );
  }

  #answerInvitation(response: ServerResponse, status: number, { record: before }: Person): void {
    const token = `sre_${randomBytes(32).toString('base64url')}`;
    const record: UserRecord = { ...before, state: 'invited', has_totp: false };
    this.#put({ record, password: '', token });
    const origin = `http://${response.req.headers.host}`;
    const answer: Invitation = {
      user: record,
      enrolment: { url: `${origin}/#/enrol/${token}`, expires_at: ago(-24 * 60) },
    };
    json(response, status, answer);
  }

  #open(token: string, userId: string, factors: string[], minutes: number): void {
    this.#sessions.set(token, {
      id: `ses_${hex(16)}`,
      userId,
      current: false,
      factors,
      created_at: ago(minutes),
      last_seen_at: ago(minutes / 8),
      expires_at: ago(minutes - 720),
    });
  }

  #find(id: string): Person | undefined {
    return this.#people.find(({ record }) => record.id === id);
  }

  #put(changed: Person): void {
    const others = this.#people.filter(({ record }) => record.id !== changed.record.id);
    this.#people = [...others, changed].sort((a, b) => a.record.username.localeCompare(b.record.username));
  }
}

function userOf({ id, username, roles, attributes, has_totp, has_passkey }: UserRecord): User {
  const must_enrol = roles.includes('admin') && !has_totp && !has_passkey;
  return { id, username, roles, attributes, has_totp, has_passkey, must_enrol, must_change_password: false };
}

function operationOf(verb: string, username: string, body: unknown): string {
  if (verb === 'reset') return `Reset password and second factor of the account ${username}`;
  if (verb === 'erase') return `Erase the account ${username} for good`;
  if (verb === 'disable' || verb === 'enable')
    return `${verb === 'disable' ? 'Disable' : 'Enable'} the account ${username}`;
  return `Change ${Object.keys(body as UserChange).join(', ')} of the account ${username}`;
}
