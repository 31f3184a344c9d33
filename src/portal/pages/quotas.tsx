import { useId, useState } from 'preact/hooks';
import type { User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { instantOf, stamp } from '#portal/format.ts';
import { useTongue } from '#portal/i18n/language.tsx';
import { useQuotaText } from '#portal/i18n/quota.ts';
import { Field } from '#portal/parts/field.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useResource, useTask } from '#portal/task.ts';
import type { QuotaChange, QuotaList, QuotaRecord } from '#quota/quota.contract.ts';
import { UsageSection } from './usage.tsx';

type Kind = QuotaRecord['kind'];
const KINDS: readonly Kind[] = ['requests_day', 'tokens_day', 'requests_minute', 'tokens_minute', 'concurrent'];
const pathOf = (scope: string, kind: Kind): string => `/admin/quotas/${encodeURIComponent(scope)}/${kind}`;

/** What is left for whoever asks models, and the limits for whoever sets them. */
export function QuotasPage({ user }: { readonly user: User }) {
  return (
    <>
      {user.roles.includes('analyst') && <UsageSection />}
      {user.roles.includes('admin') && <LimitsSection />}
    </>
  );
}

/** The limits that are set, and the form that sets one; each change behind a code of its own. */
function LimitsSection() {
  const text = useQuotaText();
  const quotas = useResource<QuotaList>('/admin/quotas');
  const { data, refusal } = quotas;
  return (
    <div class="page page-wide">
      <header class="page-head">
        <h1>{text.quotasTitle}</h1>
        <p class="quiet">{text.quotasLead}</p>
      </header>
      <QuotaForm onSet={quotas.refresh} />
      {refusal !== null && <RefusalNotice refusal={refusal} onRetry={quotas.refresh} />}
      <section class="card events" aria-label={text.quotasTitle} aria-busy={data === null}>
        {data === null ? (
          <p class="empty">{text.loading}</p>
        ) : (
          <table class="table">
            <thead>
              <tr>
                <th scope="col">{text.quotaScope}</th>
                <th scope="col">{text.quotaKind}</th>
                <th scope="col">{text.quotaAmount}</th>
                <th scope="col">{text.quotaRaise}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {data.data.map((quota) => (
                <QuotaRow key={`${quota.scope} ${quota.kind}`} quota={quota} onCleared={quotas.refresh} />
              ))}
            </tbody>
          </table>
        )}
      </section>
    </div>
  );
}

function QuotaRow({ quota, onCleared }: { readonly quota: QuotaRecord; readonly onCleared: () => void }) {
  const text = useQuotaText();
  const { language } = useTongue();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const count = (value: number): string => value.toLocaleString(language);
  const clear = (): void =>
    task.run(async () => {
      await stepUp((proof) => api.send<void>('DELETE', pathOf(quota.scope, quota.kind), proof));
      onCleared();
    });
  return (
    <tr>
      <td>
        <code>{quota.scope}</code>
        {quota.name !== null && text.listGap + quota.name}
      </td>
      <td data-label={text.quotaKind}>{text.quotaKinds[quota.kind]}</td>
      <td class="number" data-label={text.quotaAmount}>
        {count(quota.amount)}
        {quota.dry_run && ` (${text.quotaIsDryRun})`}
      </td>
      <td data-label={text.quotaRaise}>
        {quota.raise === null ? '–' : text.quotaUntil(count(quota.raise.amount), stamp(quota.raise.until).slice(0, 16))}
      </td>
      <td>
        <button
          type="button"
          class="button button-small"
          aria-label={`${text.quotaClear}: ${quota.scope} ${text.quotaKinds[quota.kind]}`}
          disabled={task.busy}
          onClick={clear}
        >
          {text.quotaClear}
        </button>
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      </td>
    </tr>
  );
}

function QuotaForm({ onSet }: { readonly onSet: () => void }) {
  const text = useQuotaText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const kindId = useId();
  const [scope, setScope] = useState('');
  const [kind, setKind] = useState<Kind>('requests_day');
  const [amount, setAmount] = useState('');
  const [raise, setRaise] = useState('');
  const [until, setUntil] = useState('');
  const [dryRun, setDryRun] = useState(false);
  const send = (event: Event): void => {
    event.preventDefault();
    task.run(async () => {
      const end = instantOf(until);
      const body: QuotaChange = {
        amount: Number(amount),
        dry_run: dryRun,
        raise: raise === '' || end === null ? null : { amount: Number(raise), until: end },
      };
      await stepUp((proof) => api.send<QuotaRecord>('PUT', pathOf(scope, kind), { body, ...proof }));
      onSet();
    });
  };
  return (
    <form class="card form" onSubmit={send}>
      <Field label={text.quotaScope} value={scope} onValue={setScope} hint={text.quotaScopeHint} required={true} />
      <div class="field">
        <label for={kindId}>{text.quotaKind}</label>
        <select id={kindId} value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
          {KINDS.map((one) => (
            <option key={one} value={one}>
              {text.quotaKinds[one]}
            </option>
          ))}
        </select>
      </div>
      <Field label={text.quotaAmount} value={amount} onValue={setAmount} pattern="[0-9]{1,13}" required={true} />
      <Field label={text.quotaRaiseTo} value={raise} onValue={setRaise} pattern="[0-9]{1,13}" required={until !== ''} />
      <Field
        label={text.quotaRaiseUntil}
        type="datetime-local"
        value={until}
        onValue={setUntil}
        required={raise !== ''}
      />
      <label>
        <input type="checkbox" checked={dryRun} onChange={() => setDryRun(!dryRun)} /> {text.quotaDryRun}
      </label>
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      <div class="form-end">
        <button type="submit" class="button button-main" disabled={task.busy}>
          {text.quotaSet}
        </button>
      </div>
    </form>
  );
}
