import type { Recorder } from '#audit/recorder.ts';
import { sourceFacts } from '#kernel/origin.ts';
import { STRENGTHS, type Strength } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { type Asker, type PolicyEngine, type PolicyText, questionOf, type ResourceAttributes } from './access.ts';
import { type AccessContext, ContextClasses, type Site } from './context-class.ts';
import { type Explanation, explain } from './explanation.ts';
import { type PolicyFolder, type PolicyStore, type PolicyVersion, policyDigest } from './policies.ts';
import { checkPolicy, hasErrors, type Surroundings } from './policy-check.ts';
import { diffFacts, diffPolicies, type PolicyDiff } from './policy-diff.ts';
import { type Fault, MAX_POLICY_BYTES } from './policy-text.ts';

export interface PoliciesDeps {
  readonly store: PolicyStore;
  readonly recorder: Recorder;
  readonly compile: (text: PolicyText) => Promise<PolicyEngine>;
  readonly attributesOf: (type: string, id: string) => ResourceAttributes | null;
  readonly surroundings: Surroundings;
  readonly site: Site;
  readonly now: () => number;
  readonly hash: (text: string) => string;
  /** What lies in policies/ beside the program. */
  readonly folder: PolicyFolder;
}

/** Who changes a policy, and in which circumstances: in these somebody must still be able to change it back. */
export interface PolicyActor {
  readonly id: string;
  readonly requestId: string | null;
  readonly address: string;
  readonly peer: string | null;
  readonly facts: Readonly<Record<string, string>>;
}

export interface PolicyQuestion {
  readonly user: string;
  readonly action: string;
  readonly resource: string;
  /** RFC 3339; now where it is absent. */
  readonly at?: string | undefined;
  readonly from?: string | undefined;
  readonly strength?: Strength | undefined;
}

export interface Imported {
  readonly version: PolicyVersion;
  readonly warnings: readonly Fault[];
  readonly diff: PolicyDiff;
}

/** Numbered policies: a change is a new version, and so is a way back. */
export class Policies {
  readonly #deps: PoliciesDeps;

  constructor(deps: PoliciesDeps) {
    this.#deps = deps;
  }

  list(): Promise<readonly PolicyVersion[]> {
    return this.#deps.store.list();
  }

  /** @throws Problem `not_found` */
  async find(version: number): Promise<PolicyText> {
    const found = await this.#deps.store.find(version);
    if (found === null) throw new Problem('not_found', { message: `There is no policy ${version}.` });
    return found;
  }

  /** What lies in policies/, as far as it is not what is in force. */
  async folderDiff(): Promise<{ readonly sha256: string; readonly differs: boolean; readonly diff: PolicyDiff }> {
    const { folder, hash, store } = this.#deps;
    const sha256 = policyDigest(folder, hash);
    const current = (await store.current()) ?? { model: '', policy: '', sha256: '' };
    return { sha256, differs: current.sha256 !== sha256, diff: diffPolicies(current, folder) };
  }

  async diff(from: number, to: number): Promise<PolicyDiff> {
    const [before, after] = await Promise.all([this.find(from), this.find(to)]);
    return diffPolicies(before, after);
  }

  check(policy: PolicyFolder): Fault[] {
    return checkPolicy(policy, this.#deps.surroundings);
  }

  /**
   * Makes `policy` the version in force. `model` is that of the version in force where it is left out.
   *
   * @throws Problem `policy_invalid` with the first fault, `policy_locks_out`, or `conflict` when another was quicker
   */
  async import(
    draft: { readonly model?: string | undefined; readonly policy: string },
    reason: string,
    actor: PolicyActor,
  ): Promise<Imported> {
    const current = await this.#current();
    const policy = { model: draft.model ?? current.model, policy: draft.policy };
    if (policy.model.length + policy.policy.length > MAX_POLICY_BYTES) throw new Problem('payload_too_large');
    const faults = this.check(policy);
    if (hasErrors(faults)) throw invalid(faults.filter(({ severity }) => severity === 'error'));
    return this.#put(current, policy, { reason, restored: null }, faults, actor);
  }

  /** A new version with the content of an earlier one. */
  async rollback(version: number, reason: string, actor: PolicyActor): Promise<Imported> {
    const [current, { model, policy }] = await Promise.all([this.#current(), this.find(version)]);
    return this.#put(current, { model, policy }, { reason, restored: version }, [], actor);
  }

  async #current(): Promise<PolicyText> {
    const current = await this.#deps.store.current();
    if (current === null) throw new Problem('not_found');
    return current;
  }

  async #put(
    current: PolicyText,
    policy: PolicyFolder,
    { reason, restored }: { readonly reason: string; readonly restored: number | null },
    warnings: readonly Fault[],
    actor: PolicyActor,
  ): Promise<Imported> {
    const { recorder, store, hash } = this.#deps;
    const sha256 = policyDigest(policy, hash);
    if (sha256 === current.sha256)
      throw new Problem('conflict', { message: `This is what policy ${current.version} says already.` });
    const version = current.version + 1;
    await this.#refuseLockout({ ...policy, version, sha256 }, actor);
    const diff = diffPolicies(current, policy);
    const verdict = await recorder.change(
      'policy.import',
      { ...policy, sha256, by: actor.id, after: current.version, reason, restored },
      {
        kind: 'change',
        actor: actor.id,
        action: restored === null ? 'policy.import' : 'policy.rollback',
        resource: `policy:${version}`,
        outcome: 'completed',
        request: actor.requestId,
        facts: {
          ...actor.facts,
          ...sourceFacts(actor),
          reason,
          restored,
          from_version: current.version,
          from_sha256: current.sha256,
          policy_sha256: sha256,
          ...diffFacts(diff, hash),
        },
      },
    );
    if (verdict.verdict !== 'changed')
      throw new Problem('conflict', { message: 'Somebody else changed the policy a moment ago. Look at it first.' });
    const made = (await store.list()).find((one) => one.version === version);
    if (made === undefined) throw new Problem('internal');
    return { version: made, warnings, diff };
  }

  /**
   * Somebody must still be able to change the policy: an active admin with a second factor, now and from where this
   * change is made. Otherwise one line too many would lock the house for good.
   */
  async #refuseLockout(draft: PolicyText, { address }: PolicyActor): Promise<void> {
    const { store, compile, now } = this.#deps;
    let engine: PolicyEngine;
    try {
      engine = await compile(draft);
    } catch (cause) {
      throw new Problem('policy_invalid', { message: `This policy does not load: ${(cause as Error).message}` }, cause);
    }
    const context: AccessContext = { at: now(), address, strength: 'second-factor' };
    const may = (asker: Asker, action: string): boolean =>
      engine.decide(
        questionOf(asker, action, { type: 'policy', id: 'policies' }, { classification: 0, owner: '' }),
        context,
      ).allowed;
    const admins = (await store.accounts()).filter(({ roles, hasFactor }) => hasFactor && roles.includes('admin'));
    const left = admins.filter(({ id, roles, attributes }) => {
      const asker: Asker = { subject: id, roles, attributes, restricted: false, strength: 'second-factor' };
      return may(asker, 'policy.write') && may(asker, 'policy.read');
    });
    if (left.length > 0) return;
    throw new Problem('policy_locks_out', {
      message:
        admins.length === 0
          ? 'There is no active admin with a second factor, so nobody could change the policy again.'
          : 'Under this policy no active admin could change the policy again, from here and at this hour.',
    });
  }

  /** @throws Problem `not_found` for a user, `invalid_parameter` for what is no resource or time */
  async explain({ user, action, resource, at, from, strength }: PolicyQuestion): Promise<Explanation> {
    const { store, compile, attributesOf, site, surroundings, now } = this.#deps;
    const [current, accounts] = await Promise.all([this.#current(), store.accounts()]);
    const account = accounts.find(({ username, id }) => username === user || id === user);
    if (account === undefined) throw new Problem('not_found', { message: `There is no active user ${user}.` });
    const colon = resource.indexOf(':');
    const [type, id] = [resource.slice(0, colon), resource.slice(colon + 1)];
    const its = attributesOf(type, id);
    if (colon < 1 || its === null)
      throw new Problem('invalid_parameter', {
        message: colon < 1 ? 'A resource is type:id, such as model:demo.' : `There is no ${type} ${id}.`,
        param: 'resource',
      });
    const asker: Asker = {
      subject: account.id,
      roles: account.roles,
      attributes: account.attributes,
      restricted: false,
      strength: strength ?? (account.hasFactor ? 'second-factor' : (STRENGTHS[1] ?? 'none')),
    };
    const context = { at: at === undefined ? now() : Date.parse(at), address: from ?? '', strength: asker.strength };
    const question = questionOf(asker, action, { type, id }, its);
    const engine = await compile(current);
    const facts = new ContextClasses([], site).factsOf(context);
    return explain(current.policy, question, facts, engine.decide(question, context), surroundings.zones);
  }
}

const SHOWN_FAULTS = 20;

function invalid(faults: readonly Fault[]): Problem {
  const lines = faults
    .slice(0, SHOWN_FAULTS)
    .map(
      ({ line, rule, message }) =>
        `${line === null ? '' : `line ${line}, `}${rule === null ? '' : `${rule}: `}${message}`,
    );
  const more = faults.length > SHOWN_FAULTS ? [`and ${faults.length - SHOWN_FAULTS} more`] : [];
  return new Problem('policy_invalid', { message: [...lines, ...more].join('\n'), extra: { faults: faults.length } });
}
