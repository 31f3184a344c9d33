import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import { Problem } from '#kernel/problem.ts';
import type { QuotaKind } from './limit.ts';
import type { QuotaLimit, QuotaStore } from './quota.ts';

export interface QuotasDeps {
  readonly store: Pick<QuotaStore, 'limits' | 'scopeExists'>;
  readonly recorder: Recorder;
  /** Whether a model is in the catalogue. */
  readonly hasModel: (id: string) => boolean;
}

export interface QuotaPlace {
  readonly scope: string;
  readonly kind: QuotaKind;
}
export interface QuotaValue {
  readonly amount: number;
  readonly dryRun: boolean;
  readonly raise: { readonly amount: number; readonly until: string } | null;
}
export interface QuotaActor extends Origin {
  readonly id: string;
}

/** Sets limits. A scope that is not there is refused: a misspelt one must never look like a limit that holds. */
export class Quotas {
  readonly #deps: QuotasDeps;

  constructor(deps: QuotasDeps) {
    this.#deps = deps;
  }

  list(): Promise<readonly QuotaLimit[]> {
    return this.#deps.store.limits();
  }

  async find({ scope, kind }: QuotaPlace): Promise<QuotaLimit | null> {
    return (await this.list()).find((limit) => limit.scope === scope && limit.kind === kind) ?? null;
  }

  /** @throws Problem `not_found` for a user, key, role, department or model that is not there */
  async assertScope(scope: string): Promise<void> {
    const isThere = scope.startsWith('model:')
      ? this.#deps.hasModel(scope.slice('model:'.length))
      : await this.#deps.store.scopeExists(scope);
    if (!isThere) throw new Problem('not_found', { message: `There is no ${scope}.`, param: 'scope' });
  }

  /** Holds from the next admission on every replica. @throws Problem `not_found`; `conflict` when another was faster */
  async set(place: QuotaPlace, value: QuotaValue, actor: QuotaActor): Promise<QuotaLimit> {
    await this.assertScope(place.scope);
    const old = await this.find(place);
    const change = {
      ...place,
      amount: value.amount,
      dry_run: value.dryRun,
      raised_amount: value.raise?.amount ?? null,
      raised_until: value.raise?.until ?? null,
      was: old?.amount ?? null,
      by: actor.id,
    };
    await this.#change('quota.set', change, place, { old: wordsOf(old), new: wordsOf(value) }, actor);
    const found = await this.find(place);
    if (found === null) throw new Problem('conflict');
    return found;
  }

  /** @throws Problem `not_found` where no limit is set */
  async clear(place: QuotaPlace, actor: QuotaActor): Promise<void> {
    const old = await this.find(place);
    if (old === null) throw new Problem('not_found');
    await this.#change('quota.clear', { ...place, was: old.amount }, place, { old: wordsOf(old), new: 'none' }, actor);
  }

  async #change(
    name: 'quota.set' | 'quota.clear',
    change: Readonly<Record<string, unknown>>,
    { scope, kind }: QuotaPlace,
    facts: Readonly<Record<string, string>>,
    actor: QuotaActor,
  ): Promise<void> {
    const event: AuditEvent = {
      kind: 'change',
      actor: actor.id,
      action: name,
      resource: `quota:${scope}:${kind}`,
      outcome: 'completed',
      request: actor.requestId,
      facts: { ...facts, ...sourceFacts(actor) },
    };
    const verdict = await this.#deps.recorder.change(name, change, event);
    if (verdict.verdict === 'changed') return;
    if (verdict.code === 'not_found') throw new Problem('not_found');
    throw new Problem('conflict', { message: 'Somebody has just changed this quota. Look again.' });
  }
}

/** For the record and for the sentence that an admin confirms. */
export function wordsOf(value: QuotaValue | null): string {
  if (value === null) return 'none';
  const raise = value.raise === null ? '' : `, ${value.raise.amount} until ${value.raise.until}`;
  return `${value.amount}${raise}${value.dryRun ? ', dry run' : ''}`;
}
