import { isStorable } from '#kernel/canonical-json.ts';
import type { Decision, Gate } from '#kernel/gate.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { DEFAULT_BODY_LIMIT, notStorable, parseJson, parseWith, readBody, readExactly } from './body.ts';
import { presentedCredential, refuseCrossOrigin } from './credential.ts';
import type { Exchange, PipelineDeps } from './exchange.ts';
import { setRateLimits, setReceipt } from './headers.ts';
import { operationDigest } from './operation-digest.ts';
import { sendProblem, statusOf } from './problem-json.ts';
import { type GuardedRoute, NO_STEP_UP, PUBLIC } from './route.ts';
import { runAndSettle } from './run.ts';

const JSON_TYPE = /^application\/json *(;|$)/i;
const FORM = /^application\/x-www-form-urlencoded *(;|$)/i;

type Step = (exchange: Exchange, deps: PipelineDeps) => void | Promise<void>;
type Guarded = GuardedRoute<unknown, unknown, unknown>;

/** The life of a request up to its run. Every route goes through all of it; what a step does, the route has declared. */
const STEPS: readonly (readonly [name: string, step: Step])[] = [
  ['origin', refuseForeignOrigin],
  ['authenticate', authenticate],
  ['validate', validate],
  ['authorise', authorise],
  ['receive', receive],
  ['step up', stepUp],
  ['admit', admit],
];
/** Decisions on stale data are made again from here, at most so often. */
const MAX_ATTEMPTS = 3;

/** Takes one request from its first byte to its last. Never rejects. */
export async function runPipeline(exchange: Exchange, deps: PipelineDeps): Promise<void> {
  const started = deps.monotonic();
  let code: string | null = null;
  try {
    for (const [, step] of STEPS) {
      // Most steps have nothing to wait for, and to wait for nothing costs as much as some of them.
      const going = step(exchange, deps);
      if (going !== undefined) await going;
    }
    code = await runAndSettle(exchange, deps);
  } catch (thrown) {
    code = fail(exchange, deps, Problem.from(thrown));
  } finally {
    deps.onEnd(exchange, exchange.response.statusCode, code, deps.monotonic() - started);
  }
}

function refuseForeignOrigin({ request }: Exchange, { isOwnOrigin }: PipelineDeps): void {
  refuseCrossOrigin(request, isOwnOrigin);
}

async function authenticate(exchange: Exchange, { gate }: PipelineDeps): Promise<void> {
  const { route } = exchange;
  if (route.access === PUBLIC) return;
  const credential = presentedCredential(exchange.request);
  if (credential === null) throw new Problem('unauthenticated');
  exchange.principal = await gate.authenticate(credential, exchange.fresh, exchange.address);
  if (exchange.principal === null) throw new Problem('unauthenticated');
  if (route.credentials === 'session' && credential.kind !== 'session') throw new Problem('session_required');
}

function validate(exchange: Exchange): void | Promise<void> {
  const { route, request } = exchange;
  if (exchange.input !== null) return;
  if (route.body) {
    const type = route.form ? FORM : JSON_TYPE;
    if (!type.test(request.headers['content-type'] ?? ''))
      throw new Problem('unsupported_media_type', route.form ? { message: 'Send the body as a form.' } : {});
    return validateBody(exchange, route.body);
  }
  if (route.bytes === undefined && hasBody(request.headers)) {
    throw new Problem('invalid_request', { message: 'This route takes no body.' });
  }
  setInput(exchange, undefined);
}

async function validateBody(exchange: Exchange, schema: NonNullable<Exchange['route']['body']>): Promise<void> {
  const { route, request } = exchange;
  const bytes = await readBody(request, route.bodyLimit ?? DEFAULT_BODY_LIMIT);
  exchange.rawBody = bytes;
  setInput(
    exchange,
    parseWith(schema, route.form ? membersOf(new URLSearchParams(bytes.toString())) : parseJson(bytes)),
  );
}

function setInput(exchange: Exchange, body: unknown): void {
  const { route, request, params } = exchange;
  exchange.input = {
    params: route.params ? parseWith(route.params, params, 'url') : undefined,
    query: route.query ? parseWith(route.query, queryOf(request.url ?? ''), 'url') : undefined,
    body,
    size: exchange.rawBody.length,
  };
}

const hasBody = (headers: Exchange['request']['headers']): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Each name once: a repeated one is refused, not silently resolved. `%00` is no text that could be looked up. */
function queryOf(url: string): Record<string, string> {
  const at = url.indexOf('?');
  return at < 0 ? {} : membersOf(new URLSearchParams(url.slice(at + 1)));
}

function membersOf(pairs: URLSearchParams): Record<string, string> {
  const members: Record<string, string> = {};
  for (const [name, value] of pairs) {
    if (!isStorable(name) || !isStorable(value)) throw notStorable();
    if (Object.hasOwn(members, name))
      throw new Problem('invalid_parameter', { message: `${name} is given twice.`, param: name });
    if (value !== '') members[name] = value;
  }
  return members;
}

function authorise(exchange: Exchange, deps: PipelineDeps): void | Promise<void> {
  const { route, principal, input } = exchange;
  if (route.access === PUBLIC || principal === null || input === null) return;
  exchange.resource = route.access.resource(input as never, principal);
  exchange.decision = deps.gate.authorise(principal, route.access.action, exchange.resource, exchange.address);
  if (!exchange.decision.allowed) return denied(exchange, deps, principal, route.access.denial, exchange.decision);
  exchange.grant = route.asks ? deps.gate.bound(principal, exchange.resource, route.asks(input as never)) : null;
}

async function denied(
  exchange: Exchange,
  deps: PipelineDeps,
  principal: Principal,
  denial: Guarded['access']['denial'],
  decision: Decision,
): Promise<void> {
  // A no rests on what holds now, as a yes does: somebody who was just given the right is not told otherwise.
  const standing = exchange.fresh ? 'valid' : await deps.gate.check(principal, decision);
  if (standing === 'valid') throw new Problem(denial);
  if (standing === 'revoked') throw new Problem('unauthenticated');
  exchange.fresh = true;
  await authenticate(exchange, deps);
  await authorise(exchange, deps);
}

/** Bytes that are no JSON, from somebody who may send them: how many it must be can depend on what he may not know. */
function receive(exchange: Exchange): void | Promise<void> {
  const { route, input } = exchange;
  if (route.bytes !== undefined && input !== null) return receiveBytes(exchange, route.bytes, input);
}

async function receiveBytes(
  exchange: Exchange,
  { type, length }: NonNullable<Exchange['route']['bytes']>,
  input: NonNullable<Exchange['input']>,
): Promise<void> {
  const { request } = exchange;
  if (request.headers['content-type']?.replaceAll(' ', '') !== type.replaceAll(' ', '')) {
    throw new Problem('unsupported_media_type', { message: `Send the body as ${type}.` });
  }
  exchange.rawBody = await readExactly(request, length(input));
  exchange.input = { ...input, body: exchange.rawBody, size: exchange.rawBody.length };
}

function stepUp(exchange: Exchange, deps: PipelineDeps): void | Promise<void> {
  const { route, principal, input } = exchange;
  if (route.access === PUBLIC || route.stepUp === NO_STEP_UP || principal === null || input === null) return;
  return stepUpFor(exchange, deps, route, principal, input);
}

async function stepUpFor(
  exchange: Exchange,
  { gate }: PipelineDeps,
  route: Guarded,
  principal: Principal,
  input: NonNullable<Exchange['input']>,
): Promise<void> {
  exchange.operation = await route.stepUp(principal, input as never);
  if (exchange.operation === null) return;
  exchange.digest = operationDigest(exchange);
  // A proof that is shown is judged where it is spent: in the admission.
  if (exchange.request.headers['step-up-proof'] === undefined) throw await stepUpRequired(exchange, gate);
}

/** RFC 9470, section 3: what is missing is a fresh factor, not a credential. */
async function stepUpRequired({ principal, digest, operation, requestId }: Exchange, gate: Gate): Promise<Problem> {
  if (principal === null || digest === null || operation === null) return new Problem('internal');
  const challenge = await gate.challenge(principal, digest, operation, requestId);
  const { factors, acr } = freshFactors(principal);
  return new Problem('step_up_required', {
    extra: { challenge, operation, factors },
    headers: {
      'WWW-Authenticate': `Bearer error="insufficient_user_authentication", acr_values="${acr}", max_age="0"`,
    },
  });
}

/** What the account can show, in the order of preference that `acr_values` has: phishing-resistant before a code. */
function freshFactors({ hasPasskey, hasTotp }: Principal): { readonly factors: string; readonly acr: string } {
  const [passkey, totp] = ['urn:strongroom:acr:phr', 'urn:strongroom:acr:otp'];
  if (hasPasskey && hasTotp) return { factors: 'passkey totp', acr: `${passkey} ${totp}` };
  return hasPasskey ? { factors: 'passkey', acr: passkey } : { factors: 'totp', acr: totp };
}

async function admit(exchange: Exchange, deps: PipelineDeps): Promise<void> {
  const { route, principal, input, resource, decision } = exchange;
  if (route.access === PUBLIC || principal === null || input === null || resource === null || decision === null) return;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const standing = await tryAdmit(exchange, deps, route);
    if (standing === 'admitted') return;
    if (standing === 'revoked') throw new Problem('unauthenticated');
    exchange.fresh = true;
    exchange.admissionRequest = null;
    await authenticate(exchange, deps);
    await authorise(exchange, deps);
  }
  throw new Problem('overloaded', { retryAfter: 1 });
}

async function tryAdmit(
  exchange: Exchange,
  { gate }: PipelineDeps,
  route: Guarded,
): Promise<'admitted' | 'revoked' | 'stale'> {
  const { principal, input, resource, decision, digest, request } = exchange;
  if (principal === null || input === null || resource === null || decision === null) return 'revoked';
  if (route.records !== 'full') {
    const standing = await gate.check(principal, decision);
    return standing === 'valid' ? 'admitted' : standing;
  }
  const proof = request.headers['step-up-proof'];
  exchange.admissionRequest = {
    requestId: exchange.requestId,
    routeId: route.id,
    principal,
    action: route.access.action,
    resource,
    decision,
    address: exchange.address,
    peer: exchange.peer,
    grant: exchange.grant,
    reserve: route.counts === 'none' ? null : route.counts(input as never, exchange.grant),
    // With its session, as it was made: shown in another one it is another secret.
    proof: digest === null ? null : { secret: typeof proof === 'string' ? proof : '', digest },
  };
  const admission = await gate.admit(exchange.admissionRequest);
  if (admission === 'stale') return 'stale';
  if (admission === 'step_up') throw await stepUpRequired(exchange, gate);
  exchange.admission = admission;
  setRateLimits(exchange.response, admission.rateLimits);
  setReceipt(exchange.response, exchange.requestId);
  return 'admitted';
}

/** Answers a request that ends before its run, and leaves word of the refusal. */
function fail(exchange: Exchange, deps: PipelineDeps, problem: Problem): string {
  const { response, route, requestId, request } = exchange;
  if (problem.code === 'internal' || problem.code === 'audit_unavailable')
    deps.onError(exchange, problem.cause ?? problem);
  const isUnknown = problem.code === 'too_many_attempts' && exchange.principal === null;
  if ((isRefusal(problem) || isUnknown) && exchange.admissionRequest === null && route.access !== PUBLIC) {
    deps.gate.refuse({
      requestId,
      code: problem.code,
      principal: exchange.principal,
      action: route.access.action,
      resource: exchange.resource,
      address: exchange.address,
      peer: exchange.peer,
      decision: exchange.decision,
      bound: problem.code === 'out_of_bounds' ? problem.message : null,
    });
  }
  if (response.headersSent) {
    response.destroy();
    return problem.code;
  }
  // A body that nobody has read must not be taken for the next request.
  if (!request.readableEnded && hasBody(request.headers)) response.setHeader('connection', 'close');
  sendProblem(response, problem, route.path, requestId);
  return problem.code;
}

/** Refusals that belong on the record. Those that the admission itself decides, it has recorded. */
function isRefusal(problem: Problem): boolean {
  const status = statusOf(problem.code);
  return (
    (status === 401 || status === 403 || problem.code === 'model_not_found' || problem.code === 'out_of_bounds') &&
    problem.code !== 'step_up_required'
  );
}
