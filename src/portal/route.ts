import { useLayoutEffect, useState } from 'preact/hooks';
import type { Role } from '#kernel/principal.ts';

export type Page =
  | 'ask'
  | 'scoring'
  | 'keys'
  | 'audit'
  | 'models'
  | 'users'
  | 'all-keys'
  | 'quotas'
  | 'policy'
  | 'security'
  | 'receipt';

/**
 * Which pages a role opens; null: everybody, without a tab. The server decides again on every call; this only
 * saves the reader a refusal.
 */
const PAGES: readonly { readonly page: Page; readonly role: Role | null }[] = [
  { page: 'ask', role: 'analyst' },
  { page: 'scoring', role: 'analyst' },
  { page: 'quotas', role: 'analyst' },
  { page: 'keys', role: 'analyst' },
  { page: 'audit', role: 'auditor' },
  { page: 'models', role: 'admin' },
  { page: 'users', role: 'admin' },
  { page: 'all-keys', role: 'admin' },
  { page: 'quotas', role: 'admin' },
  { page: 'policy', role: 'admin' },
  { page: 'security', role: null },
  { page: 'receipt', role: null },
];

export const pagesOf = (roles: readonly Role[]): readonly Page[] => [
  ...new Set(PAGES.filter(({ role }) => role !== null && roles.includes(role)).map(({ page }) => page)),
];

/** `#/audit/123` -> page and the record it names. */
export interface Route {
  readonly page: Page | null;
  readonly rest: string;
}

function readRoute(): Route {
  const [, page = '', rest = ''] = location.hash.split('/');
  return { page: PAGES.find((known) => known.page === page)?.page ?? null, rest };
}

export function useRoute(): Route {
  const [route, setRoute] = useState(readRoute);
  useHashChange(() => setRoute(readRoute()));
  return route;
}

/** From the first sight on: a plain effect comes a moment later, and would miss who is quicker. */
function useHashChange(follow: () => void): void {
  useLayoutEffect(() => {
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
}

export const goTo = (path: string): void => {
  location.hash = `#/${path}`;
};

const ENROLMENT = '#/enrol/';

/** The token of an enrolment link, and how to be done with it. Null where the page was opened without one. */
export function useEnrolment(): readonly [token: string | null, done: () => void] {
  const [token, setToken] = useState(takeToken);
  useHashChange(() => setToken((before) => takeToken() ?? before));
  return [token, () => setToken(null)];
}

const SIGN_IN_ERROR = '#/sign-in?error=';

/** How a sign-in through the identity provider ended, where this page was opened by it. Told once. */
export function takeSignInError(): string | null {
  if (!location.hash.startsWith(SIGN_IN_ERROR)) return null;
  const error = location.hash.slice(SIGN_IN_ERROR.length);
  history.replaceState(null, '', location.pathname);
  return error;
}

/** Out of the address bar and the history at once: a token must not be seen, bookmarked or found there later. */
function takeToken(): string | null {
  if (!location.hash.startsWith(ENROLMENT)) return null;
  const token = location.hash.slice(ENROLMENT.length);
  history.replaceState(null, '', location.pathname);
  return token;
}
