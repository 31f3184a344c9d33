import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';
import { type WaysDictionary, waysEn } from './ways.en.ts';
import { waysZh } from './ways.zh.ts';

const WAYS: Record<Language, WaysDictionary> = { en: waysEn, zh: waysZh };

/** As `useText`, with the words around passkeys and the house's own identity provider. */
export function useWaysText(): Dictionary & WaysDictionary {
  const { language, text } = useTongue();
  return { ...text, ...WAYS[language] };
}
