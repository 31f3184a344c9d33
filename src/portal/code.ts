/** What may stand in a code field: six to eight digits, or a recovery code, `aaaa-bbbb-cccc-dddd`. */
const DIGITS = 8;
const RECOVERY = 16;
export const DIGITS_PATTERN = '[0-9]{6,8}';
export const ANY_PATTERN = `${DIGITS_PATTERN}|[a-z2-7]{4}(-[a-z2-7]{4}){3}`;

export const isRecovery = (value: string): boolean => /[a-z-]/i.test(value);

/** What was typed or pasted, as it is meant: spaces and stray signs gone, a recovery code in groups of four. */
export function cleanCode(typed: string, recovery: boolean): string {
  if (!recovery || !isRecovery(typed)) return typed.replace(/\D/g, '').slice(0, DIGITS);
  return inFours(
    typed
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
      .slice(0, RECOVERY),
  ).join('-');
}

/** Groups of four, as one reads a secret aloud. */
export const inFours = (text: string): readonly string[] => text.match(/.{1,4}/g) ?? [];
