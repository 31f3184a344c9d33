import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';
import { type ProofDictionary, proofEn } from './proof.en.ts';
import { proofZh } from './proof.zh.ts';

const PROOF: Record<Language, ProofDictionary> = { en: proofEn, zh: proofZh };

/** As `useText`, with the words around receipts, proofs and how something was decided. */
export function useProofText(): Dictionary & ProofDictionary {
  const { language, text } = useTongue();
  return { ...text, ...PROOF[language] };
}
