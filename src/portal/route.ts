import { useEffect, useState } from 'preact/hooks';
import type { Role } from '#kernel/principal.ts';

export type Page = 'ask' | 'keys' | 'audit' | 'models';

/** Which pages a role opens. The server decides again on every call; this only saves the reader a refusal. */
const PAGES: readonly { readonly page: Page; readonly role: Role }[] = [
  { page: 'ask', role: 'analyst' },
  { page: 'keys', role: 'analyst' },
  { page: 'audit', role: 'auditor' },
  { page: 'models', role: 'admin' },
];

export const pagesOf = (roles: readonly Role[]): readonly Page[] =>
  PAGES.filter(({ role }) => roles.includes(role)).map(({ page }) => page);

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
  useEffect(() => {
    const follow = (): void => setRoute(readRoute());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return route;
}

export const goTo = (path: string): void => {
  location.hash = `#/${path}`;
};
