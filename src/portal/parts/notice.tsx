import { wait } from '#portal/format.ts';
import { useText, useTongue } from '#portal/i18n/language.tsx';
import type { Refusal, RefusalCode } from '#portal/refusal.ts';
import { Icon } from './mark.tsx';

/** For these the gateway's own sentence says more than ours can: which value, and why. */
const DETAILED: readonly RefusalCode[] = [
  'invalid_request',
  'invalid_parameter',
  'schema_invalid',
  'out_of_bounds',
  'policy_invalid',
  'policy_locks_out',
  'conflict',
  'rate_limit_exceeded',
  'internal',
];

interface Props {
  readonly refusal: Refusal;
  readonly onRetry?: () => void;
  /** Closer to the matter than the general words. */
  readonly words?: Partial<Record<RefusalCode, string>>;
}

/** A refusal in words, with what to do and what to quote to operations. */
export function RefusalNotice({ refusal, onRetry, words }: Props) {
  const { text, language } = useTongue();
  const { message, retryAfter, requestId } = refusal.detail;
  const detailed = message !== undefined && (language === 'en' || refusal.code !== 'rate_limit_exceeded');
  return (
    <div class="notice notice-bad" role="alert">
      <Icon name="alert" />
      <div>
        <p>
          {words?.[refusal.code] ?? text.problems[refusal.code]}
          {retryAfter != null && retryAfter > 0 && text.gap + text.tryAgainIn(wait(retryAfter))}
        </p>
        {detailed && DETAILED.includes(refusal.code) && <p class="quiet">{message}</p>}
        {requestId != null && (
          <p class="quiet">
            {text.requestId} <code>{requestId}</code>
          </p>
        )}
        {onRetry !== undefined && (
          <button type="button" class="button button-small" onClick={onRetry}>
            {text.retry}
          </button>
        )}
      </div>
    </div>
  );
}

export function AuditBanner() {
  const text = useText();
  return (
    <div class="banner" role="alert">
      <Icon name="alert" />
      <p>
        <strong>{text.auditDown}</strong>
        {text.gap}
        {text.auditDownWhy}
      </p>
    </div>
  );
}
