import type { Principal } from './principal.ts';

/** What a route acts on: a type and an exact id from our own store, never text of the URL. */
export interface Resource {
  readonly type: string;
  readonly id: string;
}

/** Casbin's answer, with what the record needs to explain it. */
export interface Decision {
  readonly allowed: boolean;
  readonly policyVersion: number;
  /** Name of the rule that decided; null where none matched (default deny). */
  readonly rule: string | null;
  /** Conditions of that rule, all of them met; null where it has none. */
  readonly conditions: string | null;
  /** Where no rule decided but something else: why. */
  readonly because: 'policy' | 'key_scope' | 'no_such_resource' | 'no_policy';
  /** Attributes of the resource that it rested on; null where there is no such resource. */
  readonly resource: { readonly classification: number; readonly owner: string } | null;
}

/** What a request asks of a model and policy bounds, in OpenAI's names; undefined where it says nothing. */
export interface ModelAsk {
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly max_tokens?: number | undefined;
  readonly tools?: readonly string[] | undefined;
  readonly adapters?: readonly string[] | undefined;
  /** What the model would take where the caller says nothing: held within bounds too. */
  readonly defaults?: Readonly<Partial<Record<'temperature' | 'top_p' | 'max_tokens', number>>> | undefined;
}

/** The same, held within the bounds of policy. */
export interface ModelGrant extends ModelAsk {
  /** Most tokens that its prompt may have; null where policy says nothing. */
  readonly context: number | null;
  /** What was changed and by which bound, for the record: `temperature 0 -> 0.1 (analyst-temperature)`. */
  readonly changes: readonly string[];
}

export interface PresentedCredential {
  readonly kind: 'session' | 'api_key';
  /** The credential itself. MUST NOT be logged, stored or used as a cache key. */
  readonly secret: string;
}

/** As many of `tokens` as the quota has left, but not fewer than `least`: with less the request is refused. */
export interface Reserve {
  readonly tokens: number;
  readonly least: number;
}

/** What an extension got: `limit` names what it met (`tokens_day:user`) where that is less than was asked. */
export interface Grant {
  readonly tokens: number;
  readonly limit: string | null;
  /** Seconds until that limit begins anew; 0 where none was met. */
  readonly retryAfter: number;
}

/** What the pipeline knows when it asks for admission. */
export interface AdmissionRequest {
  readonly requestId: string;
  readonly routeId: string;
  readonly principal: Principal;
  readonly action: string;
  readonly resource: Resource;
  readonly decision: Decision;
  /** Of the client, whether it is connected to us or comes through trusted proxies. */
  readonly address: string;
  /** Of the trusted proxy that is connected to us; null where there is none. */
  readonly peer: string | null;
  /** What it asks of a model, as policy granted it; null where it asks nothing of one. */
  readonly grant: ModelGrant | null;
  /** Tokens to reserve; null where the route counts nothing. */
  readonly reserve: Reserve | null;
  readonly proof: { readonly secret: string; readonly digest: string } | null;
}

export interface RateLimit {
  readonly kind: 'requests' | 'tokens';
  readonly limit: number;
  readonly remaining: number;
  readonly resetSeconds: number;
}

/** An admitted request: its intent is in the log. */
export interface Admission {
  readonly intentId: string;
  readonly seq: number | null;
  /**
   * The signed promise that the intent is in the log at its place; null where it could not be made. Made when it is asked
   * for: a whole answer carries its outcome's, and a signature costs as much as all the rest of an admission. Never rejects.
   */
  readonly promise: () => Promise<string | null>;
  readonly rateLimits: readonly RateLimit[];
  /** Tokens that are reserved. */
  readonly tokens: number;
  /** Limits in dry run that would have refused it (`requests_day:department`); for the outcome's record. */
  readonly overLimit: readonly string[];
}

/** What a handler knows of its work when it is over, whichever way it ended. */
export interface Report {
  /** False: nothing was computed, the request and its tokens are given back. */
  readonly ran: boolean;
  /** Tokens really used; null: charge what was reserved. */
  readonly tokens: number | null;
  /** Canonical facts for the record: counts, digests, commitments. Never text of prompt or answer. */
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
  /** Key of the commitments, 32 bytes in hex. */
  readonly opening: string | null;
}

export interface Ending {
  readonly outcome: 'completed' | 'failed' | 'client_closed';
  readonly code: string | null;
}

/** A refusal before admission, for the log. */
export interface Refusal {
  readonly requestId: string;
  readonly code: string;
  readonly principal: Principal | null;
  readonly action: string;
  readonly resource: Resource | null;
  readonly address: string;
  readonly peer: string | null;
  readonly decision: Decision | null;
  /** What was outside of the bounds of policy; null for any other refusal. */
  readonly bound: string | null;
}

/**
 * What stands behind the pipeline's steps. Implemented by features, handed in by the composition root.
 * Every method fails closed: whatever it throws means no.
 */
export interface Gate {
  /**
   * Null for a credential that nobody holds. `fresh`: past every cache. `address`: of the client.
   *
   * @throws Problem `audit_unavailable`, `too_many_attempts` where its network has tried too many that nobody holds
   */
  authenticate(credential: PresentedCredential, fresh: boolean, address: string): Promise<Principal | null>;
  authorise(principal: Principal, action: string, resource: Resource, address: string): Decision;
  /** Holds what is asked of a model within the bounds of policy. @throws Problem `out_of_bounds` with the allowed range */
  bound(principal: Principal, resource: Resource, ask: ModelAsk): ModelGrant;
  /** Makes a challenge for one operation (RFC 9470); `operation` is the sentence that the user will see. */
  challenge(principal: Principal, digest: string, operation: string, requestId: string): Promise<string>;
  /** Whether the session and the epochs still hold, for routes that neither count nor record. */
  check(principal: Principal, decision: Decision): Promise<'valid' | 'revoked' | 'stale'>;
  /**
   * `stale`: decide again with fresh data. `step_up`: the proof is not good for this operation, and stays unspent.
   *
   * @throws Problem when it is refused (which is then on the record), or `audit_unavailable`.
   */
  admit(request: AdmissionRequest): Promise<Admission | 'stale' | 'step_up'>;
  /**
   * Reserves more tokens for what runs, in the next batch; below 0: gives back.
   *
   * @throws Problem `audit_unavailable`: nothing more may be computed.
   */
  extend(request: AdmissionRequest, admission: Admission, ask: Reserve): Promise<Grant>;
  /** Resolves once the outcome is in the log, with the signed promise of it. @throws Problem `audit_unavailable`; it is kept and tried again. */
  settle(request: AdmissionRequest, admission: Admission, ending: Ending, report: Report): Promise<string | null>;
  /** Ends `end` within a second when the session does, or when that can't be checked for five. Returns how to stop. */
  watch(principal: Principal, decision: Decision, end: (reason: unknown) => void): () => void;
  refuse(refusal: Refusal): void;
}
