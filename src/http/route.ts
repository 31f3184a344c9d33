import type { z } from 'zod';
import type { Grant, ModelAsk, ModelGrant, RateLimit, Report, Reserve, Resource } from '#kernel/gate.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';

/** Written where a route is open to everybody. There is no default. */
export const PUBLIC = 'public';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Path parameters, query and body after their schemas; `undefined` where a route takes none. */
export interface Input<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Bytes of the raw body. */
  readonly size: number;
}

interface CallBase<P, Q, B> extends Input<P, Q, B> {
  readonly requestId: string;
  /** Address of the client. */
  readonly address: string;
  /** The same with the request and the trusted proxy in between, for a record. */
  readonly origin: Origin;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Aborts when the client hangs up, the session ends or the gateway stops; `reason` is a Problem or `ClientClosed`. */
  readonly signal: AbortSignal;
}
export interface PublicCall<P, Q, B> extends CallBase<P, Q, B> {
  readonly principal: null;
}
export interface Call<P, Q, B> extends CallBase<P, Q, B> {
  readonly principal: Principal;
  readonly rateLimits: readonly RateLimit[];
  /** What the route `asks` of a model, held within the bounds of policy; null where it asks nothing. */
  readonly grant: ModelGrant | null;
  /** Tokens that were reserved at admission; 0 where the route counts nothing. */
  readonly tokens: number;
  /** Reserves more of them, or gives some back. @throws Problem `audit_unavailable` */
  extend(ask: Reserve): Promise<Grant>;
  /** Names what is told of the work in its outcome record, whichever way it ends. Asked once, at settlement. */
  report(source: () => Report): void;
}

/**
 * Sends one whole server-sent event. A promise where the client is slower than what is told: who has written MUST wait for
 * it before he writes again. @throws once the stream is no longer wanted, in either way
 */
export type Write = (frame: string) => void | Promise<void>;

/** What a handler gives back. A stream's frames are whole server-sent events; `data: [DONE]` is the pipeline's. */
export type Reply =
  | {
      readonly kind: 'json';
      readonly status?: number;
      readonly body: unknown;
      readonly headers?: Record<string, string | string[]>;
    }
  | { readonly kind: 'bytes'; readonly body: Uint8Array; readonly type: string }
  | { readonly kind: 'text'; readonly body: string; readonly type: string; readonly status?: number }
  | { readonly kind: 'empty'; readonly headers?: Record<string, string> }
  /** 302: for a browser that is on its way somewhere else, never in answer to a change. */
  | { readonly kind: 'redirect'; readonly location: string; readonly headers?: Record<string, string | string[]> }
  | { readonly kind: 'stream'; readonly tell: (write: Write) => Promise<void> }
  /** A file that is made while it is sent. `ending` goes out when the outcome is on record: without it the file is cut off. */
  | {
      readonly kind: 'download';
      readonly type: string;
      readonly name: string;
      readonly chunks: AsyncIterable<Uint8Array>;
      readonly ending: Uint8Array;
    };

interface Declared<P, Q, B> {
  /** Stable name: in records, metrics and the digest that a step-up proof is bound to. */
  readonly id: string;
  readonly method: Method;
  /** Express 5 path; matched to the letter, case included. */
  readonly path: string;
  readonly summary: string;
  readonly params?: z.ZodType<P>;
  readonly query?: z.ZodType<Q>;
  readonly body?: z.ZodType<B>;
  /** Instead of `body`: bytes that are no JSON. The handler gets them as a Buffer. */
  readonly bytes?: {
    /** The media type that must be sent. */
    readonly type: string;
    /** Their exact number: a request that announces another one is refused before a byte is read. */
    readonly length: (input: { readonly params: P; readonly query: Q }) => number;
  };
  /** The body is a form (`application/x-www-form-urlencoded`), for peers whose protocol says so; else it is JSON. */
  readonly form?: true;
  /** Largest body in bytes; 64 KiB unless a route says otherwise. */
  readonly bodyLimit?: number;
  /** For the generated OpenAPI document. */
  readonly response?: z.ZodType;
}

/** A route for somebody: it says who, how fresh, how often and what is recorded. Leaving one out is a type error. */
export interface GuardedRoute<P, Q, B> extends Declared<P, Q, B> {
  readonly access: {
    readonly action: string;
    readonly resource: (input: Input<P, Q, B>, principal: Principal) => Resource;
    /** What a caller without the right is told; `model_not_found` where he may not know that it exists. */
    readonly denial: 'forbidden' | 'model_not_found';
  };
  /** `session`: API keys are refused (403 `session_required`). */
  readonly credentials: 'any' | 'session';
  /** The sentence of the operation where a fresh second factor is needed, null where it is not (RFC 9470). */
  readonly stepUp: (principal: Principal, input: Input<P, Q, B>) => string | null | Promise<string | null>;
  /** Tokens to reserve beside the one request; `none` where nothing is counted. */
  readonly counts: 'none' | ((input: Input<P, Q, B>, grant: ModelGrant | null) => Reserve);
  /**
   * What it asks of the model that is its resource; policy bounds it before anything is counted. A route that runs a
   * model MUST declare it, and MUST run what `call.grant` says.
   */
  readonly asks?: (input: Input<P, Q, B>) => ModelAsk;
  /** `full`: intent and outcome. `denials`: refusals only. `none`: neither, but session and epochs are still checked. */
  readonly records: 'full' | 'denials' | 'none';
  readonly handle: (call: Call<P, Q, B>) => Promise<Reply>;
}

export interface PublicRoute<P, Q, B> extends Declared<P, Q, B> {
  readonly access: typeof PUBLIC;
  readonly handle: (call: PublicCall<P, Q, B>) => Promise<Reply>;
}

/** A route with its types erased, as the pipeline runs it. */
export type Route = GuardedRoute<never, never, never> | PublicRoute<never, never, never>;

export const route = <P = undefined, Q = undefined, B = undefined>(spec: GuardedRoute<P, Q, B>): Route =>
  spec as unknown as Route;

export const publicRoute = <P = undefined, Q = undefined, B = undefined>(spec: PublicRoute<P, Q, B>): Route =>
  spec as unknown as Route;

/** No second factor is asked for. */
export const NO_STEP_UP = (): null => null;

/** The client hung up. Not an error of ours: recorded as `client_closed`. */
export class ClientClosed extends Error {
  override readonly name = 'ClientClosed';
}
