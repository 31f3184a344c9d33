/**
 * The closed list of everything that can go wrong, as a caller may know it.
 * Only `http/problem-json.ts` knows which HTTP status a code becomes; causes go to the log and never to the wire.
 */
export type ProblemCode =
  | 'invalid_request'
  | 'invalid_json'
  | 'invalid_parameter'
  | 'out_of_bounds'
  | 'context_length_exceeded'
  | 'unauthenticated'
  | 'invalid_credentials'
  | 'code_required'
  | 'step_up_required'
  | 'code_used'
  | 'forbidden'
  | 'session_required'
  | 'cross_origin'
  | 'not_found'
  | 'model_not_found'
  | 'method_not_allowed'
  | 'conflict'
  | 'length_mismatch'
  | 'frame_invalid'
  | 'scoring_session_gone'
  | 'scoring_unavailable'
  | 'policy_invalid'
  | 'policy_locks_out'
  | 'request_timeout'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'schema_invalid'
  | 'rate_limit_exceeded'
  | 'too_many_attempts'
  | 'audit_unavailable'
  | 'model_loading'
  | 'model_not_loaded'
  | 'overloaded'
  | 'engine_failed'
  | 'shutting_down'
  | 'session_ended'
  | 'internal';

/** What the caller is told beside the code. Every field is safe to send: no cause, no secret, nothing he may not know. */
export interface ProblemDetail {
  /** One sentence that says what to do next. */
  readonly message?: string;
  /** The request parameter at fault, in the caller's own spelling (`messages[0].content`). */
  readonly param?: string;
  /** Whole seconds after which a retry makes sense; sent as `Retry-After` (RFC 9110, section 10.2.3). */
  readonly retryAfter?: number;
  /** Further members of the problem document (RFC 9457, section 3.2). */
  readonly extra?: Readonly<Record<string, string | number | boolean | null>>;
  /** Headers that belong to this answer, such as `WWW-Authenticate`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The one way to fail. `cause` is for the log only. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly detail: ProblemDetail;

  constructor(code: ProblemCode, detail: ProblemDetail = {}, cause?: unknown) {
    super(detail.message ?? code, cause === undefined ? undefined : { cause });
    this.code = code;
    this.detail = detail;
  }

  /** Anything thrown becomes a Problem; what we did not foresee is `internal`, with the original as its cause. */
  static from(thrown: unknown): Problem {
    return thrown instanceof Problem ? thrown : new Problem('internal', {}, thrown);
  }
}
