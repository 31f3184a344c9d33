import { useState } from 'preact/hooks';
import type { ApiKey, KeyList, KeyResponse, User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { stamp } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { KeyForm } from '#portal/parts/key-form.tsx';
import { Modal } from '#portal/parts/modal.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useResource, useTask } from '#portal/task.ts';

export function KeysPage({ user }: { readonly user: User }) {
  const text = useOfficeText();
  const keys = useResource<KeyList>('/auth/keys');
  const [made, setMade] = useState<KeyResponse | null>(null);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const list = keys.data?.data;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{text.keysTitle}</h1>
        <p class="quiet">{text.keysLead}</p>
      </header>
      <div class="keys">
        <section class="card keys-new" aria-label={text.keyCreate}>
          <KeyForm
            user={user}
            onMade={(key) => {
              setMade(key);
              keys.refresh();
            }}
          />
        </section>
        <section aria-label={text.keysTitle}>
          {keys.refusal !== null && <RefusalNotice refusal={keys.refusal} onRetry={keys.refresh} />}
          {list === undefined && keys.refusal === null && <p class="empty">{text.loading}</p>}
          {list?.length === 0 && <p class="empty">{text.keysEmpty}</p>}
          {list !== undefined && list.length > 0 && (
            <ul class="key-list">
              {list.map((key) => (
                <KeyRow key={key.id} value={key} onRevoke={() => setRevoking(key)} />
              ))}
            </ul>
          )}
        </section>
      </div>
      {made !== null && <NewKeyDialog made={made} onClose={() => setMade(null)} />}
      {revoking !== null && (
        <RevokeDialog
          value={revoking}
          path="/auth/keys"
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

function KeyRow({ value, onRevoke }: { readonly value: ApiKey; readonly onRevoke: () => void }) {
  const text = useOfficeText();
  const expired = value.expires_at !== null && Date.parse(value.expires_at) < Date.now();
  const dates = [
    [text.keyCreated, stamp(value.created_at).slice(0, 16)],
    [text.keyExpires, value.expires_at === null ? text.never : stamp(value.expires_at).slice(0, 16)],
    [text.keyLastUsed, value.last_used_at === null ? text.never : stamp(value.last_used_at).slice(0, 16)],
  ] as const;
  return (
    <li class="card key-row">
      <div class="key-name">
        <b>{value.name}</b>
        <code>{value.id}</code>
        {expired && <span class="state state-failed">{text.keyExpired}</span>}
      </div>
      <dl>
        {dates.map(([name, date]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="number">{date}</dd>
          </div>
        ))}
        <KeyLimits value={value} />
      </dl>
      <button
        type="button"
        class="button button-bad"
        aria-label={`${text.keyRevoke}: ${value.name}`}
        onClick={onRevoke}
      >
        {text.keyRevoke}
      </button>
    </li>
  );
}

/** What the key is narrower by than its account. */
function KeyLimits({ value }: { readonly value: ApiKey }) {
  const text = useOfficeText();
  const names: Readonly<Record<string, string>> = text.keyActions;
  return (
    <>
      {value.models !== null && (
        <div>
          <dt>{text.keyModels}</dt>
          <dd>{value.models.join(text.comma)}</dd>
        </div>
      )}
      {value.actions !== null && (
        <div>
          <dt>{text.keyMay}</dt>
          <dd>{value.actions.map((action) => names[action] ?? action).join(text.comma)}</dd>
        </div>
      )}
    </>
  );
}

export function NewKeyDialog({
  made,
  onClose,
}: {
  readonly made: Pick<KeyResponse, 'name' | 'key'>;
  readonly onClose: () => void;
}) {
  const text = useOfficeText();
  return (
    <Modal title={text.keyShown} onClose={onClose}>
      <div class="form">
        <p>
          <b>{made.name}</b>
        </p>
        <output class="secret">{made.key}</output>
        <p class="quiet">{text.keyOnce}</p>
        <div class="form-end">
          <CopyButton value={made.key} />
          <button type="button" class="button button-main" onClick={onClose}>
            {text.keyStored}
          </button>
        </div>
      </div>
    </Modal>
  );
}

interface RevokeProps {
  readonly value: Pick<ApiKey, 'id' | 'name'>;
  /** Below which it is: one's own keys, or everybody's. */
  readonly path: '/auth/keys' | '/admin/keys';
  readonly onClose: () => void;
  readonly onDone: () => void;
}

export function RevokeDialog({ value, path, onClose, onDone }: RevokeProps) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const revoke = (): void =>
    task.run(async () => {
      await stepUp((proof) => api.send<void>('DELETE', `${path}/${encodeURIComponent(value.id)}`, proof));
      onDone();
    });
  return (
    <Modal title={text.keyRevokeAsk(value.name)} onClose={onClose}>
      <div class="form">
        <p class="quiet">{text.keyRevokeWhy}</p>
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        <div class="form-end">
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="button" class="button button-main button-bad" disabled={task.busy} onClick={revoke}>
            {text.keyRevoke}
          </button>
        </div>
      </div>
    </Modal>
  );
}
