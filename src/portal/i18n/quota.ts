import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';
import { type OfficeDictionary, officesEn } from './offices.en.ts';
import { officesZh } from './offices.zh.ts';
import { type QuotaDictionary, quotaEn } from './quota.en.ts';
import { quotaZh } from './quota.zh.ts';

const WORDS: Record<Language, OfficeDictionary & QuotaDictionary> = {
  en: { ...officesEn, ...quotaEn },
  zh: { ...officesZh, ...quotaZh },
};

/** As `useText`, with the words of the pages about quotas. */
export function useQuotaText(): Dictionary & OfficeDictionary & QuotaDictionary {
  const { language, text } = useTongue();
  return { ...text, ...WORDS[language] };
}
