import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import type { SessionResponse, User } from '#identity/identity.contract.ts';
import { ApiContext, createApi, useApi } from './api.ts';
import { useConversation } from './conversation.ts';
import { useText } from './i18n/language.tsx';
import { AskPage } from './pages/ask.tsx';
import { type SignInNotice, SignInPage } from './pages/sign-in.tsx';
import { lazy } from './parts/lazy.tsx';
import { AuditBanner, RefusalNotice } from './parts/notice.tsx';
import { useQuota } from './parts/quota.tsx';
import { ShellHeader } from './parts/shell-header.tsx';
import { StepUpProvider } from './parts/step-up.tsx';
import { Refusal } from './refusal.ts';
import { pagesOf, useEnrolment, useRoute } from './route.ts';

const KeysPage = lazy(() => import('./pages/offices.ts').then((module) => module.KeysPage));
const AllKeysPage = lazy(() => import('./pages/offices.ts').then((module) => module.AllKeysPage));
const AuditPage = lazy(() => import('./pages/offices.ts').then((module) => module.AuditPage));
const ModelsPage = lazy(() => import('./pages/offices.ts').then((module) => module.ModelsPage));
const UsersPage = lazy(() => import('./pages/offices.ts').then((module) => module.UsersPage));
const ScoringPage = lazy(() => import('./pages/scoring.tsx').then((module) => module.ScoringPage));
const SecurityPage = lazy(() => import('./pages/own.ts').then((module) => module.SecurityPage));
const FactorPage = lazy(() => import('./pages/own.ts').then((module) => module.FactorPage));
const RecoveryPage = lazy(() => import('./pages/own.ts').then((module) => module.RecoveryPage));
const EnrolPage = lazy(() => import('./pages/own.ts').then((module) => module.EnrolPage));

type Session =
  | { readonly state: 'unknown' }
  | { readonly state: 'unreachable'; readonly refusal: Refusal }
  | { readonly state: 'out'; readonly notice: SignInNotice | null; readonly username: string }
  | { readonly state: 'in'; readonly user: User }
  /** The session ended with the new factor. Its recovery codes are shown this once, whatever else happens. */
  | { readonly state: 'codes'; readonly codes: readonly string[]; readonly username: string };

export function App() {
  const text = useText();
  const [session, setSession] = useState<Session>({ state: 'unknown' });
  const [auditDown, setAuditDown] = useState(false);
  const [token, tokenDone] = useEnrolment();

  const leave = useCallback(
    (notice: SignInNotice | null, username = '') => setSession({ state: 'out', notice, username }),
    [],
  );
  const api = useMemo(
    () =>
      createApi({
        fetch: fetch.bind(globalThis),
        now: Date.now,
        onSessionEnd: () => setSession(ended),
        onAuditState: setAuditDown,
      }),
    [],
  );

  const look = useCallback(() => {
    setSession({ state: 'unknown' });
    api.send<SessionResponse>('GET', '/auth/session').then(
      ({ user }) => setSession({ state: 'in', user }),
      (thrown: unknown) => {
        const refusal = Refusal.from(thrown);
        setSession((before) => (before.state === 'out' ? before : { state: 'unreachable', refusal }));
      },
    );
  }, [api]);
  useEffect(look, [look]);

  const enrolled = async (username: string, mustEnrol: boolean): Promise<void> => {
    // Whoever was signed in here is another: the new account signs in from nothing.
    if (session.state === 'in') await api.send<void>('POST', '/auth/logout').catch(() => {});
    leave(mustEnrol ? 'enrolledFactor' : 'enrolled', username);
    tokenDone();
  };

  if (token !== null)
    return (
      <ApiContext.Provider value={api}>
        <EnrolPage key={token} token={token} auditDown={auditDown} onEnrolled={enrolled} onClose={tokenDone} />
      </ApiContext.Provider>
    );
  return (
    <ApiContext.Provider value={api}>
      {session.state === 'unknown' && <p class="splash">{text.loading}</p>}
      {session.state === 'unreachable' && (
        <div class="splash">
          <RefusalNotice refusal={session.refusal} onRetry={look} />
        </div>
      )}
      {session.state === 'out' && (
        <SignInPage
          notice={session.notice}
          username={session.username}
          auditDown={auditDown}
          onSignedIn={(user) => setSession({ state: 'in', user })}
        />
      )}
      {session.state === 'codes' && (
        <RecoveryPage
          codes={session.codes}
          username={session.username}
          onKept={() => leave('factor', session.username)}
        />
      )}
      {session.state === 'in' && (
        <StepUpProvider key={session.user.id}>
          <Shell
            user={session.user}
            auditDown={auditDown}
            onLeave={leave}
            onCodes={(codes) => setSession({ state: 'codes', codes, username: session.user.username })}
          />
        </StepUpProvider>
      )}
    </ApiContext.Provider>
  );
}

/** Whoever was never signed in needs no notice that a session ended. */
const ended = (before: Session): Session => {
  if (before.state === 'codes' || before.state === 'out') return before;
  return { state: 'out', notice: before.state === 'in' ? 'ended' : null, username: '' };
};

interface ShellProps {
  readonly user: User;
  readonly auditDown: boolean;
  readonly onLeave: (notice: SignInNotice) => void;
  readonly onCodes: (codes: readonly string[]) => void;
}

function Shell({ user, auditDown, onLeave, onCodes }: ShellProps) {
  const text = useText();
  const route = useRoute();
  const owes = user.must_enrol || user.must_change_password;
  const pages = owes ? [] : pagesOf(user.roles);
  const isOwn = owes || route.page === 'security';
  const page = isOwn ? 'security' : (pages.find((allowed) => allowed === route.page) ?? pages[0]);
  const quota = useQuota(pages.includes('ask'));
  const conversation = useConversation(useApi(), quota.refresh);
  const factor = user.must_enrol || (!owes && route.rest === 'factor');

  useEffect(() => {
    document.title = page === undefined ? text.title : `${text.tabs[page]} · ${text.title}`;
  }, [page, text]);

  return (
    <div class="shell">
      <button type="button" class="button skip" onClick={focusMain}>
        {text.skip}
      </button>
      <ShellHeader user={user} pages={pages} page={page} onLeave={onLeave} />
      {auditDown && <AuditBanner />}
      <main id="main" tabIndex={-1} class={page === 'ask' ? 'main main-fixed' : 'main'}>
        {page === 'ask' && <AskPage conversation={conversation} quota={quota} />}
        {page === 'scoring' && <ScoringPage />}
        {page === 'keys' && <KeysPage user={user} />}
        {page === 'audit' && <AuditPage open={route.page === 'audit' ? route.rest : ''} />}
        {page === 'models' && <ModelsPage />}
        {page === 'all-keys' && <AllKeysPage />}
        {page === 'users' && <UsersPage open={route.page === 'users' ? route.rest : ''} />}
        {page === 'security' && factor && <FactorPage user={user} onCodes={onCodes} />}
        {page === 'security' && !factor && <SecurityPage user={user} onLeave={onLeave} />}
        {page === undefined && <p class="empty">{text.noPages}</p>}
      </main>
    </div>
  );
}

function focusMain(): void {
  document.getElementById('main')?.focus();
}
