import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';
import { type OfficeDictionary, officesEn } from './offices.en.ts';
import { officesZh } from './offices.zh.ts';

const OFFICES: Record<Language, OfficeDictionary> = { en: officesEn, zh: officesZh };

/** As `useText`, with the words of the pages that are loaded later. */
export function useOfficeText(): Dictionary & OfficeDictionary {
  const { language, text } = useTongue();
  return { ...text, ...OFFICES[language] };
}
