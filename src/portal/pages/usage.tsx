import { clockTime } from '#portal/format.ts';
import { useTongue } from '#portal/i18n/language.tsx';
import { useQuotaText } from '#portal/i18n/quota.ts';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useResource } from '#portal/task.ts';
import type { UsageResponse } from '#quota/quota.contract.ts';

const REFRESH_MS = 5000;

/** Every window and scope of the reader: what is used, what is left, and when it begins anew. */
export function UsageSection() {
  const text = useQuotaText();
  const { language } = useTongue();
  const usage = useResource<UsageResponse>('/v1/usage', REFRESH_MS);
  const count = (value: number): string => value.toLocaleString(language);
  const { data, refusal } = usage;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{text.usageTitle}</h1>
        <p class="quiet">{text.usageLead}</p>
      </header>
      {refusal !== null && <RefusalNotice refusal={refusal} onRetry={usage.refresh} />}
      <section class="card events" aria-label={text.usageTitle} aria-busy={data === null}>
        {data === null ? (
          <p class="empty">{text.loading}</p>
        ) : (
          <table class="table">
            <thead>
              <tr>
                <th scope="col">{text.quotaScope}</th>
                <th scope="col">{text.quotaKind}</th>
                <th scope="col">{text.quotaUsed}</th>
                <th scope="col">{text.quotaLeft}</th>
                <th scope="col">{text.quotaAnew}</th>
              </tr>
            </thead>
            <tbody>
              {data.limits.map((limit) => (
                <tr key={`${limit.scope} ${limit.kind} ${limit.dry_run}`}>
                  <td>{scopeWords(limit.scope, text)}</td>
                  <td data-label={text.quotaKind}>
                    {text.quotaKinds[limit.kind]}
                    {limit.dry_run && ` (${text.quotaIsDryRun})`}
                  </td>
                  <td class="number" data-label={text.quotaUsed}>
                    {count(limit.used)}
                  </td>
                  <td class="number" data-label={text.quotaLeft}>
                    {text.quotaOf(limit.remaining, limit.limit)}
                  </td>
                  <td class="number" data-label={text.quotaAnew}>
                    {limit.resets_at === null ? '–' : clockTime(limit.resets_at, Date.now())}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </div>
  );
}

/** `department:risk` -> Department risk, shared with others. The reader's own id says nothing to him. */
function scopeWords(scope: string, text: ReturnType<typeof useQuotaText>): string {
  const at = scope.indexOf(':');
  const type = scope.slice(0, at) as keyof typeof text.quotaScopes;
  const whose = text.quotaScopes[type];
  return type === 'user' || type === 'key'
    ? whose
    : `${whose} ${scope.slice(at + 1)}${text.listGap}${text.quotaShared}`;
}
