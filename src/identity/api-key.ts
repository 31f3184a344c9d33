import type { ApiKeyRecord, KeyLimits } from './identity.ts';

/** A key as the API shows it, without its secret. */
export const keyView = (record: ApiKeyRecord) => ({
  id: record.id,
  name: record.name,
  created_at: record.createdAt,
  expires_at: record.expiresAt,
  last_used_at: record.lastUsedAt,
  models: record.models === null ? null : [...record.models],
  actions: record.actions === null ? null : [...record.actions],
});

/** What a request limits a key to; what is absent limits nothing. */
export const keyLimitsOf = (body: {
  readonly expires_in_days?: number | undefined;
  readonly models?: readonly string[] | undefined;
  readonly actions?: readonly string[] | undefined;
  readonly limits?: Readonly<Record<string, number | undefined>> | undefined;
}): KeyLimits => ({
  expiresInDays: body.expires_in_days ?? null,
  models: body.models ?? null,
  actions: body.actions ?? null,
  quota: Object.fromEntries(
    Object.entries(body.limits ?? {}).filter((pair): pair is [string, number] => pair[1] !== undefined),
  ),
});
