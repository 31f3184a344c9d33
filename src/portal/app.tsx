import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import type { SessionResponse, User } from '#identity/identity.contract.ts';
import { ApiContext, createApi, useApi } from './api.ts';
import { messagesOf, useConversation } from './conversation.ts';
import { useText } from './i18n/language.tsx';
import { AskPage } from './pages/ask.tsx';
import { type SignInNotice, SignInPage } from './pages/sign-in.tsx';
import { lazy, withStyles } from './parts/lazy.tsx';
import { AuditBanner, RefusalNotice } from './parts/notice.tsx';
import { useQuota } from './parts/quota.tsx';
import { ShellHeader } from './parts/shell-header.tsx';
import { StepUpProvider } from './parts/step-up.tsx';
import { Refusal } from './refusal.ts';
import { goTo, pagesOf, useEnrolment, useRoute } from './route.ts';

const offices = () => withStyles(import('./pages/offices.ts'));
const own = () => withStyles(import('./pages/own.ts'));
const KeysPage = lazy(() => offices().then((module) => module.KeysPage));
const AllKeysPage = lazy(() => offices().then((module) => module.AllKeysPage));
const AuditPage = lazy(() => offices().then((module) => module.AuditPage));
const ModelsPage = lazy(() => offices().then((module) => module.ModelsPage));
const UsersPage = lazy(() => offices().then((module) => module.UsersPage));
const PolicyPage = lazy(() => offices().then((module) => module.PolicyPage));
const QuotasPage = lazy(() => offices().then((module) => module.QuotasPage));
const ScoringPage = lazy(() => withStyles(import('./pages/scoring.tsx')).then((module) => module.ScoringPage));
const SecurityPage = lazy(() => own().then((module) => module.SecurityPage));
const FactorPage = lazy(() => own().then((module) => module.FactorPage));
const PasskeyPage = lazy(() => own().then((module) => module.PasskeyPage));
const ConfirmPage = lazy(() => own().then((module) => module.ConfirmPage));
const RecoveryPage = lazy(() => own().then((module) => module.RecoveryPage));
const ReceiptPage = lazy(() => offices().then((module) => module.ReceiptPage));
const EnrolPage = lazy(() => own().then((module) => module.EnrolPage));

const loadStepUp = () => own().then((module) => module.StepUpDialog);

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
        <StepUpProvider key={session.user.id} load={loadStepUp}>
          <Shell
            user={session.user}
            auditDown={auditDown}
            onLeave={leave}
            onLook={look}
            onCodes={(codes) => {
              const { username } = session.user;
              // Whoever signs in again has no second one to set up.
              if (!session.user.must_enrol) goTo('security');
              if (codes.length === 0) leave('factor', username);
              else setSession({ state: 'codes', codes, username });
            }}
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
  /** The session is another one now. */
  readonly onLook: () => void;
}

function Shell({ user, auditDown, onLeave, onCodes, onLook }: ShellProps) {
  const text = useText();
  const route = useRoute();
  const owes = user.must_enrol || user.must_change_password;
  const pages = owes ? [] : pagesOf(user.roles);
  const isOwn = owes || route.page === 'security';
  const isReceipt = route.page === 'receipt' && !isOwn;
  const page = isOwn
    ? 'security'
    : isReceipt
      ? 'receipt'
      : (pages.find((allowed) => allowed === route.page) ?? pages[0]);
  const quota = useQuota(pages.includes('ask'));
  const conversation = useConversation(useApi(), quota.refresh);
  // A factor that is there and was not shown, else one that must be set up first, else what the reader chose.
  const owed = user.has_totp || user.has_passkey ? 'confirm' : 'factor';
  const own = user.must_enrol ? owed : user.must_change_password ? '' : route.rest;

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
        {page === 'policy' && <PolicyPage open={route.page === 'policy' ? route.rest : ''} />}
        {page === 'quotas' && <QuotasPage user={user} />}
        {page === 'security' && <OwnPages own={own} user={user} onLeave={onLeave} onCodes={onCodes} onLook={onLook} />}
        {page === 'receipt' && (
          <ReceiptPage key={route.rest} request={route.rest} turns={conversation.turns} messages={messagesOf} />
        )}
        {page === undefined && <p class="empty">{text.noPages}</p>}
      </main>
    </div>
  );
}

interface OwnProps extends Omit<ShellProps, 'auditDown'> {
  readonly own: string;
}

function OwnPages({ own, user, onLeave, onCodes, onLook }: OwnProps) {
  if (own === 'confirm') return <ConfirmPage user={user} onConfirmed={onLook} />;
  if (own === 'factor') return <FactorPage user={user} onCodes={onCodes} />;
  if (own === 'passkey') return <PasskeyPage user={user} onCodes={onCodes} />;
  return <SecurityPage user={user} onLeave={onLeave} />;
}

function focusMain(): void {
  document.getElementById('main')?.focus();
}
