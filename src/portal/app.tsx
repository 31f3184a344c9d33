import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import type { SessionResponse } from '#identity/identity.contract.ts';
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
import { pagesOf, useRoute } from './route.ts';

const KeysPage = lazy(() => import('./pages/keys.tsx').then((module) => module.KeysPage));
const AuditPage = lazy(() => import('./pages/audit.tsx').then((module) => module.AuditPage));
const ModelsPage = lazy(() => import('./pages/models.tsx').then((module) => module.ModelsPage));

type Session =
  | { readonly state: 'unknown' }
  | { readonly state: 'unreachable'; readonly refusal: Refusal }
  | { readonly state: 'out'; readonly notice: SignInNotice | null }
  | { readonly state: 'in'; readonly user: SessionResponse['user'] };

export function App() {
  const text = useText();
  const [session, setSession] = useState<Session>({ state: 'unknown' });
  const [auditDown, setAuditDown] = useState(false);

  const leave = useCallback((notice: SignInNotice | null) => setSession({ state: 'out', notice }), []);
  const api = useMemo(
    () =>
      createApi({
        fetch: fetch.bind(globalThis),
        now: Date.now,
        // Whoever was never signed in needs no notice that a session ended.
        onSessionEnd: () =>
          setSession((before) => ({ state: 'out', notice: before.state === 'in' ? 'ended' : noticeOf(before) })),
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
          auditDown={auditDown}
          onSignedIn={(user) => setSession({ state: 'in', user })}
        />
      )}
      {session.state === 'in' && (
        <StepUpProvider key={session.user.id}>
          <Shell user={session.user} auditDown={auditDown} onLeave={leave} />
        </StepUpProvider>
      )}
    </ApiContext.Provider>
  );
}

const noticeOf = (session: Session): SignInNotice | null => (session.state === 'out' ? session.notice : null);

interface ShellProps {
  readonly user: SessionResponse['user'];
  readonly auditDown: boolean;
  readonly onLeave: (notice: SignInNotice) => void;
}

function Shell({ user, auditDown, onLeave }: ShellProps) {
  const text = useText();
  const route = useRoute();
  const pages = pagesOf(user.roles);
  const page = pages.find((allowed) => allowed === route.page) ?? pages[0];
  const isAnalyst = pages.includes('ask');
  const quota = useQuota(isAnalyst);
  const conversation = useConversation(useApi(), quota.refresh);

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
        {page === 'keys' && <KeysPage user={user} />}
        {page === 'audit' && <AuditPage open={route.page === 'audit' ? route.rest : ''} />}
        {page === 'models' && <ModelsPage />}
        {page === undefined && <p class="empty">{text.noPages}</p>}
      </main>
    </div>
  );
}

function focusMain(): void {
  document.getElementById('main')?.focus();
}
