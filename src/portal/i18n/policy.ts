import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';
import { type PolicyDictionary, policyEn } from './policy.en.ts';
import { policyZh } from './policy.zh.ts';

const POLICY: Record<Language, PolicyDictionary> = { en: policyEn, zh: policyZh };

/** As `useText`, with the words of the page of policies. */
export function usePolicyText(): Dictionary & PolicyDictionary {
  const { language, text } = useTongue();
  return { ...text, ...POLICY[language] };
}
