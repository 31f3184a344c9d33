import type { Decision, ModelAsk, ModelGrant, Resource } from '#kernel/gate.ts';
import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { type PolicyEngine, type PolicyText, questionOf, type ResourceAttributes, subjectsOf } from './access.ts';
import { type Bound, holdWithin } from './bounds.ts';

export interface AccessDeps {
  /** The policy in force, by the database. */
  readonly currentPolicy: () => Promise<PolicyText | null>;
  readonly compile: (text: PolicyText) => Promise<PolicyEngine>;
  /** Attributes of a resource, from our own store; null for one that does not exist. */
  readonly attributesOf: (type: string, id: string) => ResourceAttributes | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Log;
}

const NO_BOUNDS: readonly Bound[] = [];

/** Decides by the policy version that is loaded; admission tells when that is no longer the one in force. */
export class AccessControl {
  readonly #deps: AccessDeps;
  #engine: PolicyEngine | null = null;
  #loading: Promise<void> | null = null;

  constructor(deps: AccessDeps) {
    this.#deps = deps;
  }

  get version(): number {
    return this.#engine?.version ?? 0;
  }

  /** Loads the policy in force; concurrent calls share one look-up. @throws when there is none or it does not compile. */
  load(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    const text = await this.#deps.currentPolicy();
    if (text === null) throw new Error('the database holds no policy');
    if (text.version === this.#engine?.version) return;
    this.#engine = await this.#deps.compile(text);
    this.#deps.log.info('policy loaded', { version: String(text.version) });
  }

  /** `address`: of the client, from which it asks now. */
  decide(principal: Principal, action: string, { type, id }: Resource, address: string): Decision {
    const resource = this.#deps.attributesOf(type, id);
    const denied = { allowed: false, policyVersion: this.version, rule: null, conditions: null, resource };
    if (this.#engine === null) return { ...denied, because: 'no_policy' };
    if (resource === null) return { ...denied, because: 'no_such_resource' };
    if (isOutOfScope(principal, action, { type, id })) return { ...denied, because: 'key_scope' };
    const context = { at: this.#deps.now(), address, strength: principal.strength };
    const decision = this.#engine.decide(questionOf(principal, action, { type, id }, resource), context);
    return { ...decision, because: 'policy', resource };
  }

  /** @throws Problem `out_of_bounds`, which names the parameter and its range */
  bound(principal: Principal, { id }: Resource, ask: ModelAsk): ModelGrant {
    const bounds = this.#engine?.boundsOf(subjectsOf(principal), id) ?? NO_BOUNDS;
    const held = holdWithin(bounds, ask);
    if ('changes' in held) return held;
    const { parameter, allowed, bound } = held;
    const words = allowed === 'none' ? 'no' : allowed;
    throw new Problem('out_of_bounds', {
      message: `${parameter}: policy allows you ${words} ${allowed === 'none' ? parameter : 'here'} (${bound}).`,
      param: parameter,
      extra: { allowed, bound },
    });
  }
}

/** A key may narrow what its account may do, never widen it. */
function isOutOfScope({ scope }: Principal, action: string, { type, id }: Resource): boolean {
  if (scope === null) return false;
  if (scope.actions !== null && !scope.actions.includes(action)) return true;
  return type === 'model' && scope.models !== null && !scope.models.includes(id);
}
