import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { type AccessDecision, type PolicyEngine, type PolicyText, questionOf } from './access.ts';

export interface AccessDeps {
  /** The policy in force, by the database. */
  readonly currentPolicy: () => Promise<PolicyText | null>;
  readonly compile: (text: PolicyText) => Promise<PolicyEngine>;
  /** Classification of a resource, from our own store; null for one that does not exist. */
  readonly classificationOf: (type: string, id: string) => number | null;
  readonly log: Log;
}

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

  decide(
    principal: Principal,
    action: string,
    resource: { readonly type: string; readonly id: string },
  ): AccessDecision {
    const classification = this.#deps.classificationOf(resource.type, resource.id);
    if (this.#engine === null || classification === null || isOutOfScope(principal, action, resource))
      return { allowed: false, policyVersion: this.version, rule: null };
    return this.#engine.decide(questionOf(principal, action, resource, classification));
  }
}

/** A key may narrow what its account may do, never widen it. */
function isOutOfScope(
  { scope }: Principal,
  action: string,
  { type, id }: { readonly type: string; readonly id: string },
): boolean {
  if (scope === null) return false;
  if (scope.actions !== null && !scope.actions.includes(action)) return true;
  return type === 'model' && scope.models !== null && !scope.models.includes(id);
}
