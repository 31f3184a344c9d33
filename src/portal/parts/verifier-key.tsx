import { useState } from 'preact/hooks';
import { useProofText } from '#portal/i18n/proof.ts';
import { Field } from './field.tsx';

const KEPT_AS = 'strongroom.verifier-key';

/** The key that the reader was given, kept in this browser; empty where he was given none. */
export function useVerifierKey(): readonly [key: string, set: (key: string) => void] {
  const [key, setKey] = useState(() => localStorage.getItem(KEPT_AS) ?? '');
  const set = (text: string): void => {
    setKey(text);
    if (text.trim() === '') localStorage.removeItem(KEPT_AS);
    else localStorage.setItem(KEPT_AS, text.trim());
  };
  return [key, set];
}

export function VerifierKeyField({
  value,
  onValue,
}: {
  readonly value: string;
  readonly onValue: (key: string) => void;
}) {
  const text = useProofText();
  return <Field label={text.keyLabel} value={value} onValue={onValue} hint={text.keyHint} autoComplete="off" />;
}
