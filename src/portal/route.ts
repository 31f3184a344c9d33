import { useEffect, useState } from 'preact/hooks';
import type { Role } from '#kernel/principal.ts';

export type Page = 'ask' | 'scoring' | 'keys' | 'audit' | 'models' | 'users' | 'all-keys' | 'security';

/**
 * Which pages a role opens; null: everybody, from the account menu. The server decides again on every call; this only
 * saves the reader a refusal.
 */
const PAGES: readonly { readonly page: Page; readonly role: Role | null }[] = [
  { page: 'ask', role: 'analyst' },
  { page: 'scoring', role: 'analyst' },
  { page: 'keys', role: 'analyst' },
  { page: 'audit', role: 'auditor' },
  { page: 'models', role: 'admin' },
  { page: 'users', role: 'admin' },
  { page: 'all-keys', role: 'admin' },
  { page: 'security', role: null },
];

export const pagesOf = (roles: readonly Role[]): readonly Page[] =>
  PAGES.filter(({ role }) => role !== null && roles.includes(role)).map(({ page }) => page);

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

function useHashChange(follow: () => void): void {
  useEffect(() => {
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

/** Out of the address bar and the history at once: a token must not be seen, bookmarked or found there later. */
function takeToken(): string | null {
  if (!location.hash.startsWith(ENROLMENT)) return null;
  const token = location.hash.slice(ENROLMENT.length);
  history.replaceState(null, '', location.pathname);
  return token;
}
