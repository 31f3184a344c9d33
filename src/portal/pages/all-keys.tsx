import { useState } from 'preact/hooks';
import type { IssuedKey, IssueRequest, OwnedKey, OwnedKeyList } from '#identity/identity.contract.ts';
import type { UserList, UserRecord } from '#identity/users.contract.ts';
import { useApi } from '#portal/api.ts';
import { stamp } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { Field } from '#portal/parts/field.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useResource, useTask } from '#portal/task.ts';
import { NewKeyDialog, RevokeDialog } from './keys.tsx';

/** Everybody's keys, for admins: those of service accounts are made here, and any is revoked. */
export function AllKeysPage() {
  const text = useOfficeText();
  const keys = useResource<OwnedKeyList>('/admin/keys');
  const [made, setMade] = useState<IssuedKey | null>(null);
  const [revoking, setRevoking] = useState<OwnedKey | null>(null);
  const list = keys.data?.data;
  return (
    <div class="page page-wide">
      <header class="page-head">
        <h1>{text.allKeysTitle}</h1>
        <p class="quiet">{text.allKeysLead}</p>
      </header>
      <div class="keys">
        <section class="card keys-new" aria-label={text.serviceKeyCreate}>
          <ServiceKeyForm
            onMade={(key) => {
              setMade(key);
              keys.refresh();
            }}
          />
        </section>
        <section class="card events" aria-label={text.allKeysTitle} aria-busy={list === undefined}>
          {keys.refusal !== null && <RefusalNotice refusal={keys.refusal} onRetry={keys.refresh} />}
          {list === undefined && keys.refusal === null && <p class="empty">{text.loading}</p>}
          {list?.length === 0 && <p class="empty">{text.allKeysEmpty}</p>}
          {list !== undefined && list.length > 0 && <KeyTable keys={list} onRevoke={setRevoking} />}
        </section>
      </div>
      {made !== null && <NewKeyDialog made={made} onClose={() => setMade(null)} />}
      {revoking !== null && (
        <RevokeDialog
          value={revoking}
          path="/admin/keys"
          onClose={() => setRevoking(null)}
          onDone={() => {
            setRevoking(null);
            keys.refresh();
          }}
        />
      )}
    </div>
  );
}

interface TableProps {
  readonly keys: readonly OwnedKey[];
  readonly onRevoke: (key: OwnedKey) => void;
}

function KeyTable({ keys, onRevoke }: TableProps) {
  const text = useOfficeText();
  const dateOf = (time: string | null): string => (time === null ? text.never : stamp(time).slice(0, 16));
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">{text.keyOwner}</th>
          <th scope="col">{text.keyName}</th>
          <th scope="col">{text.keyLimited}</th>
          <th scope="col">{text.keyExpires}</th>
          <th scope="col">{text.keyLastUsed}</th>
          <th scope="col">{text.keyRevoke}</th>
        </tr>
      </thead>
      <tbody>
        {keys.map((key) => (
          <tr key={key.id}>
            <td>
              {key.owner.username}
              {key.owner.disabled && <span class="state state-disabled">{text.userStates.disabled}</span>}
            </td>
            <td data-label={text.keyName} title={key.id}>
              {key.name}
            </td>
            <td data-label={text.keyLimited}>{limitsOf(key).join(text.comma) || '–'}</td>
            <td data-label={text.keyExpires} class="number">
              {dateOf(key.expires_at)}
            </td>
            <td data-label={text.keyLastUsed} class="number">
              {dateOf(key.last_used_at)}
            </td>
            <td>
              <button
                type="button"
                class="button button-bad"
                aria-label={`${text.keyRevoke}: ${key.owner.username}, ${key.name}`}
                onClick={() => onRevoke(key)}
              >
                {text.keyRevoke}
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The machine's own words: they are what the API takes. */
const limitsOf = ({ models, actions, limits }: OwnedKey): string[] => [
  ...(models ?? []),
  ...(actions ?? []),
  ...Object.entries(limits).map(([kind, amount]) => `${kind} ${amount}`),
];

const LIFETIMES = [30, 90, 180, 366] as const;

function ServiceKeyForm({ onMade }: { readonly onMade: (key: IssuedKey) => void }) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const users = useResource<UserList>('/admin/users');
  const services = users.data?.data.filter(isServing) ?? [];
  const [chosen, setChosen] = useState('');
  const [name, setName] = useState('');
  const [days, setDays] = useState('90');
  const [requests, setRequests] = useState('');
  const account = chosen || (services[0]?.id ?? '');

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: IssueRequest = {
      account,
      name,
      ...(days === '' ? {} : { expires_in_days: Number(days) }),
      ...(requests === '' ? {} : { limits: { requests_day: Number(requests) } }),
    };
    task.run(async () => {
      const key = await stepUp((proof) => api.send<IssuedKey>('POST', '/admin/keys', { body, ...proof }));
      setName('');
      setRequests('');
      onMade(key);
    });
  };

  return (
    <form class="form" onSubmit={submit}>
      <h2>{text.serviceKeyCreate}</h2>
      {services.length === 0 && <p class="quiet">{users.data === null ? text.loading : text.serviceNone}</p>}
      <div class="field">
        <label for="service-account">{text.serviceAccount}</label>
        <select id="service-account" value={account} onChange={(event) => setChosen(event.currentTarget.value)}>
          {services.map(({ id, username }) => (
            <option key={id} value={id}>
              {username}
            </option>
          ))}
        </select>
      </div>
      <Field label={text.keyName} hint={text.keyNameHint} maxLength={64} value={name} onValue={setName} required />
      <div class="field">
        <label for="service-key-days">{text.keyExpiry}</label>
        <select id="service-key-days" value={days} onChange={(event) => setDays(event.currentTarget.value)}>
          {LIFETIMES.map((lifetime) => (
            <option key={lifetime} value={lifetime}>
              {text.keyDays(lifetime)}
            </option>
          ))}
          <option value="">{text.never}</option>
        </select>
      </div>
      <Field
        label={text.keyRequests}
        hint={text.keyRequestsHint}
        pattern="[0-9]{1,12}"
        maxLength={12}
        value={requests}
        onValue={setRequests}
      />
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      <div class="form-end">
        <button type="submit" class="button button-main" disabled={task.busy || account === ''}>
          {text.serviceKeyCreate}
        </button>
      </div>
    </form>
  );
}

const isServing = ({ roles, state }: UserRecord): boolean => roles.includes('service') && state === 'active';
