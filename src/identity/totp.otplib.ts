import { generateSecret, generateURI, verifySync } from 'otplib';
import type { Clock } from '#kernel/clock.ts';
import type { Totp } from './identity.ts';
import { parseTotp, type TotpKind, type TotpSecret } from './totp.ts';

const PERIOD = 30;

/** RFC 6238 with 30 s; algorithm and digits are the secret's own. One step of drift either way. */
export function otplibTotp(clock: Clock): Totp {
  return {
    stepOf: (text, code) => {
      const { secret, algorithm, digits } = parseTotp(text);
      if (code.length !== digits || !/^\d+$/.test(code)) return null;
      const epoch = Math.floor(clock.now() / 1000);
      const result = verifySync({
        strategy: 'totp',
        secret,
        token: code,
        epoch,
        algorithm,
        digits,
        period: PERIOD,
        epochTolerance: PERIOD,
      });
      return result.valid ? Math.floor(epoch / PERIOD) + result.delta : null;
    },
  };
}

/** As long as the hash's output (RFC 4226, section 4; RFC 6238, section 5.1): 160 or 256 bits in Base32. */
export const newTotpSecret = (kind: TotpKind): TotpSecret => ({
  ...kind,
  secret: generateSecret({ length: kind.algorithm === 'sha256' ? 32 : 20 }),
});

/** The `otpauth://` URI that an authenticator app reads from a QR code. */
export const totpUri = ({ secret, algorithm, digits }: TotpSecret, username: string): string =>
  generateURI({ strategy: 'totp', issuer: 'Strongroom', label: username, secret, algorithm, digits, period: PERIOD });
