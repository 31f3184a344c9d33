import { useCallback, useEffect, useRef } from 'preact/hooks';
import { clockTime, percent } from '#portal/format.ts';
import { useText } from '#portal/i18n/language.tsx';
import { type Resource, useResource } from '#portal/task.ts';
import type { UsageResponse } from '#quota/quota.contract.ts';

/** After an abort the gateway settles a moment later, so the budget is read twice. */
const SETTLED_MS = 1500;

export function useQuota(enabled: boolean): Resource<UsageResponse> {
  const usage = useResource<UsageResponse>(enabled ? '/v1/usage' : null);
  const timer = useRef(0);
  const { refresh } = usage;
  useEffect(() => () => clearTimeout(timer.current), []);
  const refreshTwice = useCallback(() => {
    refresh();
    clearTimeout(timer.current);
    timer.current = setTimeout(refresh, SETTLED_MS);
  }, [refresh]);
  return { ...usage, refresh: refreshTwice };
}

export function QuotaMeters({ usage }: { readonly usage: Resource<UsageResponse> }) {
  const text = useText();
  const { data, refusal } = usage;
  return (
    <section class="quota" aria-label={text.quota}>
      <h2 class="label">{text.quota}</h2>
      <Meter label={text.quotaRequests} budget={data?.requests} />
      <Meter label={text.quotaTokens} budget={data?.tokens} />
      <p class="quiet quota-reset">
        {refusal !== null && data === null && text.quotaFailed}
        {data !== null && text.quotaResets(clockTime(data.resets_at, Date.now()))}
      </p>
    </section>
  );
}

interface MeterProps {
  readonly label: string;
  readonly budget: UsageResponse['requests'] | undefined;
}

function Meter({ label, budget }: MeterProps) {
  const text = useText();
  const left = budget === undefined ? 0 : percent(budget.remaining, budget.limit);
  const words = budget === undefined ? '–' : text.quotaOf(budget.remaining, budget.limit);
  return (
    <div class="meter">
      <span>{label}</span>
      <span class="number">{words}</span>
      {/* biome-ignore lint/a11y/useSemanticElements: <meter> can't be drawn alike in all browsers */}
      <svg
        class={left < 10 && budget !== undefined ? 'bar bar-low' : 'bar'}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={budget?.limit ?? 0}
        aria-valuenow={budget?.remaining ?? 0}
        aria-valuetext={words}
      >
        <rect width="100%" height="100%" class="bar-track" />
        <rect width={`${left}%`} height="100%" class="bar-fill" />
      </svg>
    </div>
  );
}
