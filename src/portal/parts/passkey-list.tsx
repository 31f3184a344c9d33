import { useState } from 'preact/hooks';
import type { User } from '#identity/identity.contract.ts';
import type { PasskeyInfo, PasskeyList, RenameRequest } from '#identity/webauthn.contract.ts';
import { useApi } from '#portal/api.ts';
import { stamp } from '#portal/format.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { useResource, useTask } from '#portal/task.ts';
import { Field } from './field.tsx';
import { Modal } from './modal.tsx';
import { RefusalNotice } from './notice.tsx';
import { useStepUp } from './step-up.tsx';

interface Props {
  readonly user: User;
  /** Removing one has ended this session too. */
  readonly onRemoved: () => void;
}

/** One's own passkeys; nothing where there are none. */
export function PasskeySection({ user, onRemoved }: Props) {
  const text = useSafetyText();
  const keys = useResource<PasskeyList>(user.has_passkey ? '/auth/webauthn/keys' : null);
  const [naming, setNaming] = useState<PasskeyInfo | null>(null);
  if (!user.has_passkey) return null;
  return (
    <section aria-label={text.passkeys} class="card-stack">
      <h2>{text.passkeys}</h2>
      {keys.refusal !== null && <RefusalNotice refusal={keys.refusal} onRetry={keys.refresh} />}
      <ul class="key-list">
        {keys.data?.data.map((value) => (
          <PasskeyRow key={value.id} value={value} onRename={() => setNaming(value)} onRemoved={onRemoved} />
        ))}
      </ul>
      {naming !== null && (
        <RenameDialog
          value={naming}
          onClose={() => setNaming(null)}
          onRenamed={() => {
            setNaming(null);
            keys.refresh();
          }}
        />
      )}
    </section>
  );
}

interface RowProps {
  readonly value: PasskeyInfo;
  readonly onRename: () => void;
  readonly onRemoved: () => void;
}

const pathOf = ({ id }: PasskeyInfo): string => `/auth/webauthn/keys/${encodeURIComponent(id)}`;

function PasskeyRow({ value, onRename, onRemoved }: RowProps) {
  const text = useSafetyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const times = [
    [text.passkeySince, stamp(value.created_at).slice(0, 16)],
    [text.passkeyUsed, value.last_used_at === null ? text.never : stamp(value.last_used_at).slice(0, 16)],
  ] as const;
  const remove = (): void =>
    task.run(async () => {
      await stepUp((proof) => api.send<void>('DELETE', pathOf(value), proof));
      onRemoved();
    });
  return (
    <li class="card key-row">
      <div class="key-name">
        <b>{value.name}</b>
      </div>
      <dl>
        {times.map(([name, time]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="number">{time}</dd>
          </div>
        ))}
      </dl>
      <div class="form-end">
        <button type="button" class="button" aria-label={`${text.passkeyRename}: ${value.name}`} onClick={onRename}>
          {text.passkeyRename}
        </button>
        <button
          type="button"
          class="button button-bad"
          aria-label={`${text.passkeyRemove}: ${value.name}`}
          disabled={task.busy}
          onClick={remove}
        >
          {text.passkeyRemove}
        </button>
      </div>
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
    </li>
  );
}

interface RenameProps {
  readonly value: PasskeyInfo;
  readonly onClose: () => void;
  readonly onRenamed: () => void;
}

function RenameDialog({ value, onClose, onRenamed }: RenameProps) {
  const text = useSafetyText();
  const api = useApi();
  const task = useTask();
  const [name, setName] = useState(value.name);
  const submit = (event: Event): void => {
    event.preventDefault();
    const body: RenameRequest = { name };
    task.run(async () => {
      await api.send<PasskeyInfo>('PATCH', pathOf(value), { body });
      onRenamed();
    });
  };
  return (
    <Modal title={text.passkeyRename} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <Field label={text.passkeyName} maxLength={64} value={name} onValue={setName} required focus />
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        <div class="form-end">
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy}>
            {text.passkeyRename}
          </button>
        </div>
      </form>
    </Modal>
  );
}
