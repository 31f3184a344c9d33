import { useState } from 'preact/hooks';
import type { Invitation, UserList, UserRecord } from '#identity/users.contract.ts';
import { hasFactor, matches } from '#portal/account.ts';
import { stamp } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { Field } from '#portal/parts/field.tsx';
import { Icon } from '#portal/parts/mark.tsx';
import { Modal } from '#portal/parts/modal.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { goTo } from '#portal/route.ts';
import { useResource } from '#portal/task.ts';
import { NewUserDialog, UserSheet } from './user.tsx';

const NEW = 'new';

/** `open`: the id of the account whose sheet is open, or `new`. */
export function UsersPage({ open }: { readonly open: string }) {
  const text = useOfficeText();
  const users = useResource<UserList>('/admin/users');
  const [typed, setTyped] = useState('');
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const all = users.data?.data;
  const shown = all?.filter((user) => matches(user, typed)) ?? [];
  const chosen = all?.find(({ id }) => id === open);
  const close = (): void => goTo('users');
  const invited = (made: Invitation): void => {
    // A service account has no link: its keys are made on their own page.
    if (made.enrolment !== null) setInvitation(made);
    users.refresh();
  };
  return (
    <div class="page page-wide">
      <header class="page-head page-head-row">
        <div>
          <h1>{text.usersTitle}</h1>
          <p class="quiet">{text.usersLead}</p>
        </div>
        <div class="users-tools">
          <Field label={text.usersFind} value={typed} onValue={setTyped} />
          <a class="button button-main" href={`#/users/${NEW}`}>
            <Icon name="plus" />
            {text.userNew}
          </a>
        </div>
      </header>
      {users.refusal !== null && <RefusalNotice refusal={users.refusal} onRetry={users.refresh} />}
      {(all !== undefined || users.refusal === null) && (
        <section class="card events" aria-label={text.usersTitle} aria-busy={all === undefined}>
          {shown.length > 0 ? (
            <UserTable users={shown} open={open} />
          ) : (
            <p class="empty">{all === undefined ? text.loading : text.usersEmpty}</p>
          )}
        </section>
      )}
      {open === NEW && (
        <NewUserDialog
          onClose={close}
          onInvited={(made) => {
            close();
            invited(made);
          }}
        />
      )}
      {chosen !== undefined && (
        <UserSheet key={chosen.id} user={chosen} onClose={close} onChanged={users.refresh} onInvited={invited} />
      )}
      {invitation !== null && <InvitationDialog invitation={invitation} onClose={() => setInvitation(null)} />}
    </div>
  );
}

/** The link in the name is the way by keyboard; a click anywhere in the row is the same for the mouse. */
function UserTable({ users, open }: { readonly users: readonly UserRecord[]; readonly open: string }) {
  const text = useOfficeText();
  return (
    <table class="table users">
      <thead>
        <tr>
          <th scope="col">{text.username}</th>
          <th scope="col">{text.state}</th>
          <th scope="col">{text.userRoles}</th>
          <th scope="col">{text.department}</th>
          <th scope="col">{text.clearance}</th>
          <th scope="col">{text.branch}</th>
          <th scope="col">{text.secondFactor}</th>
          <th scope="col">{text.lastSignIn}</th>
        </tr>
      </thead>
      <tbody>
        {users.map((user) => (
          <tr key={user.id} class={user.id === open ? 'row-open' : ''} onClick={() => goTo(`users/${user.id}`)}>
            <td>
              <a href={`#/users/${user.id}`}>{user.username}</a>
            </td>
            <td>
              <span class={`state state-${user.state}`}>{text.userStates[user.state]}</span>
            </td>
            <td data-label={text.userRoles}>{user.roles.map((role) => text.roles[role]).join(text.comma)}</td>
            <td data-label={text.department}>{user.attributes.department || '–'}</td>
            <td data-label={text.clearance} class="number">
              {user.attributes.clearance}
            </td>
            <td data-label={text.branch}>{user.attributes.branch || '–'}</td>
            <td data-label={text.secondFactor} class={hasFactor(user) ? '' : 'quiet'}>
              {hasFactor(user) ? text.factorYes : text.factorNo}
            </td>
            <td data-label={text.lastSignIn} class={user.last_sign_in_at === null ? 'quiet' : 'number users-time'}>
              {user.last_sign_in_at === null ? text.never : stamp(user.last_sign_in_at).slice(0, 16)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface InvitationProps {
  readonly invitation: Invitation;
  readonly onClose: () => void;
}

/** The only time that the link is seen. */
function InvitationDialog({ invitation, onClose }: InvitationProps) {
  const text = useOfficeText();
  const { user, enrolment } = invitation;
  if (enrolment === null) return null;
  return (
    <Modal title={text.linkTitle(user.username)} onClose={onClose}>
      <div class="form">
        <output class="secret">{enrolment.url}</output>
        <p>{text.linkUntil(stamp(enrolment.expires_at).slice(0, 16))}</p>
        <p class="quiet">{text.linkWhy}</p>
        <div class="form-end">
          <CopyButton value={enrolment.url} />
          <button type="button" class="button button-main" onClick={onClose}>
            {text.linkPassed}
          </button>
        </div>
      </div>
    </Modal>
  );
}
