import type { ProblemCode } from '#kernel/problem.ts';

/** What the gateway may answer, and what can happen to us before it does. */
export type RefusalCode = ProblemCode | 'offline' | 'unreadable' | 'passkey_failed' | 'passkey_known';

export interface RefusalDetail {
  readonly status?: number;
  /** The gateway's own sentence. English; shown beside ours where it says more. */
  readonly message?: string;
  /** Seconds. */
  readonly retryAfter?: number | null;
  readonly requestId?: string | null;
  /** Of `step_up_required`: what a code must confirm, and the gateway's sentence for it. */
  readonly challenge?: string;
  readonly operation?: string;
  /** Of that and of `code_required`: which factors the account has, `passkey` and `totp`, with a blank between. */
  readonly factors?: string;
}

/** The one way a call fails in the portal. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly detail: RefusalDetail;

  constructor(code: RefusalCode, detail: RefusalDetail = {}) {
    super(detail.message ?? code);
    this.code = code;
    this.detail = detail;
  }

  /** An abort by the reader is no refusal: it is thrown on. */
  static from(thrown: unknown): Refusal {
    if (thrown instanceof Refusal) return thrown;
    return new Refusal(thrown instanceof SyntaxError ? 'unreadable' : 'offline');
  }
}

/**
 * Reads either error shape: `{"error":{message,type,param,code}}` below /v1, RFC 9457 problem documents elsewhere.
 * `known` says which codes we have words for; another code is shown as `internal` with the gateway's own sentence.
 */
export function readRefusal(
  body: string,
  status: number,
  known: (code: string) => code is RefusalCode,
): { readonly code: RefusalCode; readonly detail: RefusalDetail } {
  const document = parsed(body);
  const source = isRecord(document['error']) ? document['error'] : document;
  const code = textOf(source['code']) ?? '';
  const message = textOf(source['message']) ?? textOf(source['detail']) ?? textOf(source['title']);
  const challenge = textOf(document['challenge']) ?? textOf(source['challenge']);
  const operation = textOf(document['operation']) ?? textOf(source['operation']);
  const factors = textOf(document['factors']);
  return {
    code: known(code) ? code : guess(status),
    detail: {
      status,
      ...(message === null ? {} : { message }),
      ...(challenge === null ? {} : { challenge }),
      ...(operation === null ? {} : { operation }),
      ...(factors === null ? {} : { factors }),
    },
  };
}

function guess(status: number): RefusalCode {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 429) return 'rate_limit_exceeded';
  return 'internal';
}

function parsed(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
