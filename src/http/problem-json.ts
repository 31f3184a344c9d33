import type { ServerResponse } from 'node:http';
import type { Problem, ProblemCode } from '#kernel/problem.ts';

/** The one place that knows status codes, and what each code says when its thrower said nothing. */
const PROBLEMS: Readonly<Record<ProblemCode, readonly [status: number, message: string]>> = {
  invalid_request: [400, 'The request is not one that this server understands.'],
  invalid_json: [400, 'The body is not valid JSON.'],
  invalid_parameter: [400, 'A parameter has a value that is not allowed.'],
  out_of_bounds: [400, 'Policy does not allow you this value of a parameter.'],
  context_length_exceeded: [400, 'The prompt is longer than the context of the model.'],
  length_mismatch: [400, 'The body is not of the length that this model and these parameters make.'],
  frame_invalid: [400, 'The frame is not one of this session, this model and these parameters.'],
  unauthenticated: [401, 'Sign in, or send a valid session token or API key.'],
  invalid_credentials: [401, 'The username, password or code is not right.'],
  code_required: [401, 'This account needs the code of its second factor.'],
  step_up_required: [401, 'This operation needs a fresh code of your second factor.'],
  code_used: [401, 'This code has been used already. Wait for the next one.'],
  session_ended: [401, 'The session has ended. Sign in again.'],
  forbidden: [403, 'Your role does not allow this.'],
  session_required: [403, 'This operation needs a signed-in session; an API key is not enough.'],
  cross_origin: [403, 'Requests that change something are accepted from this site only.'],
  not_found: [404, 'There is nothing here.'],
  model_not_found: [404, 'There is no such model, or you may not use it.'],
  method_not_allowed: [405, 'This method is not allowed here.'],
  request_timeout: [408, 'The request did not arrive in time.'],
  scoring_session_gone: [409, 'The scoring session is over. Open a new one with a new key.'],
  conflict: [409, 'The state of the resource does not allow this.'],
  policy_locks_out: [409, 'Under this policy nobody could change the policy again.'],
  payload_too_large: [413, 'The body is larger than this server accepts.'],
  unsupported_media_type: [415, 'Send the body as application/json.'],
  policy_invalid: [422, 'The policy has faults, so it was not taken.'],
  schema_invalid: [422, 'The body does not have the shape that is documented.'],
  rate_limit_exceeded: [429, 'Your quota is used up.'],
  too_many_attempts: [429, 'Too many attempts. Try again later.'],
  internal: [500, 'Something went wrong on our side. The request id helps the operator to find out what.'],
  audit_unavailable: [503, 'The audit log cannot be written, so nothing is done. Try again shortly.'],
  model_loading: [503, 'The model is being loaded. Try again shortly.'],
  model_not_loaded: [503, 'The model is not in service.'],
  overloaded: [503, 'Too many requests are waiting. Try again shortly.'],
  engine_failed: [503, 'The model stopped before the answer was complete. Try again.'],
  scoring_unavailable: [503, 'Encrypted scoring is not available here.'],
  shutting_down: [503, 'The server is shutting down. Try again shortly.'],
};

export const statusOf = (code: ProblemCode): number => PROBLEMS[code][0];

/** OpenAI's word for the sort of error. */
function openAiType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** `{"error": {message, type, param, code}}`, as OpenAI's clients expect it. */
export function openAiError(problem: Problem): object {
  const [status, message] = PROBLEMS[problem.code];
  return {
    error: {
      message: problem.detail.message ?? message,
      type: openAiType(status),
      param: problem.detail.param ?? null,
      code: problem.code,
      ...problem.detail.extra,
    },
  };
}

/** RFC 9457. `type` stays `about:blank`: `code` is the machine's word. */
function problemDocument(problem: Problem, requestId: string): object {
  const [status, message] = PROBLEMS[problem.code];
  const { param, extra } = problem.detail;
  return {
    type: 'about:blank',
    title: message,
    status,
    detail: problem.detail.message ?? message,
    code: problem.code,
    request_id: requestId,
    ...(param === undefined ? {} : { param }),
    ...extra,
  };
}

/** Where nobody knows how long it takes, on 429 and 503. */
const RETRY_SECONDS = 5;

/** Writes the answer to a failed request whose answer has not begun. `/v1/*` speaks OpenAI's shape, the rest RFC 9457. */
export function sendProblem(response: ServerResponse, problem: Problem, path: string, requestId: string): void {
  const openAi = path.startsWith('/v1/');
  const { retryAfter, headers } = problem.detail;
  response.statusCode = statusOf(problem.code);
  response.setHeader(
    'content-type',
    openAi ? 'application/json; charset=utf-8' : 'application/problem+json; charset=utf-8',
  );
  response.setHeader('cache-control', 'no-store');
  if (response.statusCode === 401 && headers?.['WWW-Authenticate'] === undefined) {
    response.setHeader('www-authenticate', 'Bearer realm="strongroom"');
  }
  const isPassing = response.statusCode === 429 || response.statusCode === 503;
  const seconds = retryAfter ?? (isPassing ? RETRY_SECONDS : undefined);
  if (seconds !== undefined) response.setHeader('retry-after', String(seconds));
  for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value);
  response.end(JSON.stringify(openAi ? openAiError(problem) : problemDocument(problem, requestId)));
}
