const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
export const RECOVERY_CODES = 10;
const BYTES = 10;

/** A recovery code of 80 bits in Base32 (RFC 4648), lower case, in four groups of four. */
export function recoveryCode(bytes: Uint8Array): string {
  if (bytes.length !== BYTES) throw new RangeError(`a recovery code takes ${BYTES} bytes`);
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  const characters = Array.from({ length: 16 }, (_, at) => BASE32[Number((bits >> BigInt(75 - 5 * at)) & 31n)] ?? '');
  return (characters.join('').match(/.{4}/g) ?? []).join('-');
}

/** What is hashed and stored: bound to its account, so that equal codes of two accounts look different. */
export const recoveryText = (account: string, code: string): string =>
  `${account} ${code.toLowerCase().replaceAll('-', '')}`;

export const isRecoveryCode = (code: string): boolean => /[a-z]/i.test(code) || code.includes('-');
