import { useState } from 'preact/hooks';
import type { Invitation, NewUser, UserRecord } from '#identity/users.contract.ts';
import { type AccountDraft, certificationsOf, changeOf, draftOf, hasFactor, NEW_ACCOUNT } from '#portal/account.ts';
import { useApi } from '#portal/api.ts';
import { stamp } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { AccountFields } from '#portal/parts/account-fields.tsx';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { Field } from '#portal/parts/field.tsx';
import { Modal } from '#portal/parts/modal.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useTask } from '#portal/task.ts';

interface NewProps {
  readonly onClose: () => void;
  readonly onInvited: (invitation: Invitation) => void;
}

export function NewUserDialog({ onClose, onInvited }: NewProps) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [username, setUsername] = useState('');
  const [draft, setDraft] = useState<AccountDraft>(NEW_ACCOUNT);

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: NewUser = { username, ...draft, certifications: certificationsOf(draft) };
    task.run(async () => {
      onInvited(await stepUp((proof) => api.send<Invitation>('POST', '/admin/users', { body, ...proof })));
    });
  };

  return (
    <Modal title={text.userNew} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <p class="quiet">{text.userNewLead}</p>
        <Field
          label={text.username}
          hint={text.usernameHint}
          pattern="[a-z0-9][a-z0-9._\-]{1,63}"
          maxLength={64}
          value={username}
          onValue={setUsername}
          required
          focus
        />
        <AccountFields draft={draft} onDraft={setDraft} />
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        <div class="form-end">
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy || draft.roles.length === 0}>
            {text.userMake}
          </button>
        </div>
      </form>
    </Modal>
  );
}

interface SheetProps extends NewProps {
  readonly user: UserRecord;
  readonly onChanged: () => void;
}

export function UserSheet({ user, onClose, onChanged, onInvited }: SheetProps) {
  const text = useOfficeText();
  const facts = [
    [text.state, <span class={`state state-${user.state}`}>{text.userStates[user.state]}</span>],
    [text.secondFactor, hasFactor(user) ? text.factorYes : text.factorNo],
    [text.created, <span class="number">{stamp(user.created_at).slice(0, 16)}</span>],
    [text.lastSignIn, user.last_sign_in_at === null ? text.never : stamp(user.last_sign_in_at).slice(0, 16)],
  ] as const;
  return (
    <Modal title={user.username} kind="sheet" onClose={onClose}>
      <div class="record">
        <dl class="fields">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
          <div>
            <dt>ID</dt>
            <dd>
              <code>{user.id}</code> <CopyButton value={user.id} label="ID" />
            </dd>
          </div>
        </dl>
        <EditForm user={user} onChanged={onChanged} />
        <AccessActions user={user} onClose={onClose} onChanged={onChanged} onInvited={onInvited} />
      </div>
    </Modal>
  );
}

function EditForm({ user, onChanged }: Pick<SheetProps, 'user' | 'onChanged'>) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [draft, setDraft] = useState(() => draftOf(user));
  const [saved, setSaved] = useState(false);
  const body = changeOf(user, draft);

  const submit = (event: Event): void => {
    event.preventDefault();
    if (body === null) return;
    const path = `/admin/users/${encodeURIComponent(user.id)}`;
    task.run(async () => {
      await stepUp((proof) => api.send<UserRecord>('PATCH', path, { body, ...proof }));
      setSaved(true);
      onChanged();
    });
  };

  return (
    <form class="form" onSubmit={submit}>
      <h3>{text.userRights}</h3>
      <AccountFields
        draft={draft}
        onDraft={(next) => {
          setDraft(next);
          setSaved(false);
        }}
      />
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      {saved && (
        <p class="notice" role="status">
          {text.userSaved}
        </p>
      )}
      <div class="form-end">
        <button
          type="submit"
          class="button button-main"
          disabled={task.busy || body === null || draft.roles.length === 0}
        >
          {text.userSave}
        </button>
      </div>
    </form>
  );
}

/** Each asks for a code, and the code's dialog says what it is for: a second question would only be clicked away. */
function AccessActions({ user, onClose, onChanged, onInvited }: SheetProps) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const post = <T,>(verb: 'disable' | 'enable' | 'reset' | 'erase', done: (answer: T) => void): void =>
    task.run(async () => {
      const path = `/admin/users/${encodeURIComponent(user.id)}/${verb}`;
      done(await stepUp((proof) => api.send<T>('POST', path, proof)));
    });
  const disabled = user.state === 'disabled';
  return (
    <section class="form" aria-label={text.userAccess}>
      <h3>{text.userAccess}</h3>
      {!user.roles.includes('service') && (
        <div class="act">
          <p class="quiet">{text.userResetWhy}</p>
          <button
            type="button"
            class="button"
            disabled={task.busy || disabled}
            onClick={() => post<Invitation>('reset', onInvited)}
          >
            {text.userReset}
          </button>
        </div>
      )}
      <div class="act">
        <p class="quiet">{disabled ? text.userEnableWhy : text.userDisableWhy}</p>
        <button
          type="button"
          class={disabled ? 'button' : 'button button-bad'}
          disabled={task.busy}
          onClick={() => post<UserRecord>(disabled ? 'enable' : 'disable', onChanged)}
        >
          {disabled ? text.userEnable : text.userDisable}
        </button>
      </div>
      {disabled && (
        <div class="act">
          <p class="quiet">{text.userEraseWhy}</p>
          <button
            type="button"
            class="button button-bad"
            disabled={task.busy}
            onClick={() =>
              post<undefined>('erase', () => {
                onChanged();
                onClose();
              })
            }
          >
            {text.userErase}
          </button>
        </div>
      )}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
    </section>
  );
}
