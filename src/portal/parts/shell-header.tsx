import type { User } from '#identity/identity.contract.ts';
import { useApi } from '#portal/api.ts';
import { useText } from '#portal/i18n/language.tsx';
import type { SignInNotice } from '#portal/pages/sign-in.tsx';
import { goTo, type Page } from '#portal/route.ts';
import { useTask } from '#portal/task.ts';
import { LanguageSwitch } from './language-switch.tsx';
import { Icon, Mark } from './mark.tsx';
import { RefusalNotice } from './notice.tsx';

interface Props {
  readonly user: User;
  readonly pages: readonly Page[];
  readonly page: Page | undefined;
  readonly onLeave: (notice: SignInNotice) => void;
}

export function ShellHeader({ user, pages, page, onLeave }: Props) {
  const text = useText();
  return (
    <header class="top">
      <div class="brand">
        <Mark />
        <span>{text.title}</span>
      </div>
      {pages.length > 0 && (
        <nav class="tabs" aria-label={text.sections}>
          {pages.map((name) => (
            <a
              key={name}
              href={`#/${name}`}
              aria-current={name === page ? 'page' : undefined}
              ref={name === page ? intoView : null}
            >
              {text.tabs[name]}
            </a>
          ))}
        </nav>
      )}
      <div class="top-end">
        <LanguageSwitch />
        <AccountMenu user={user} onLeave={onLeave} />
      </div>
    </header>
  );
}

/** On a telephone the tabs are wider than the screen. */
function intoView(tab: HTMLElement | null): void {
  tab?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function AccountMenu({ user, onLeave }: Pick<Props, 'user' | 'onLeave'>) {
  const text = useText();
  const api = useApi();
  const task = useTask();
  const roles = user.roles.map((role) => text.roles[role]).join(' · ');
  return (
    <>
      <button type="button" class="account" popovertarget="account" title={text.account}>
        <span class="account-icon">
          <Icon name="person" />
        </span>
        <span class="account-words">
          <b>{user.username}</b>
          <small>{roles}</small>
        </span>
      </button>
      <div id="account" class="menu" popover="auto">
        <p>
          <b>{user.username}</b>
          <small>{roles}</small>
        </p>
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        {!user.must_enrol && (
          <button type="button" popovertarget="account" popovertargetaction="hide" onClick={() => goTo('security')}>
            {text.tabs.security}
          </button>
        )}
        <button
          type="button"
          disabled={task.busy}
          onClick={() =>
            task.run(async () => {
              await api.send<void>('POST', '/auth/logout');
              onLeave('signedOut');
            })
          }
        >
          {text.signOut}
        </button>
      </div>
    </>
  );
}
