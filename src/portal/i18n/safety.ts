import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';
import { type SafetyDictionary, safetyEn } from './safety.en.ts';
import { safetyZh } from './safety.zh.ts';

const SAFETY: Record<Language, SafetyDictionary> = { en: safetyEn, zh: safetyZh };

/** As `useText`, with the words around passwords, second factors and sessions. */
export function useSafetyText(): Dictionary & SafetyDictionary {
  const { language, text } = useTongue();
  return { ...text, ...SAFETY[language] };
}
