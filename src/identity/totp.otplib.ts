import { generateSecret, generateURI, verifySync } from 'otplib';
import type { Clock } from '#kernel/clock.ts';
import type { Totp } from './identity.ts';

const PERIOD = 30;

/** RFC 6238 with SHA-1, six digits and 30 s, which every authenticator app knows; one step of drift either way. */
export function otplibTotp(clock: Clock): Totp {
  return {
    stepOf: (secret, code) => {
      if (!/^\d{6}$/.test(code)) return null;
      const epoch = Math.floor(clock.now() / 1000);
      const result = verifySync({
        strategy: 'totp',
        secret,
        token: code,
        epoch,
        period: PERIOD,
        epochTolerance: PERIOD,
      });
      return result.valid ? Math.floor(epoch / PERIOD) + result.delta : null;
    },
  };
}

/** 160 bits in Base32, as RFC 4226 section 4 asks. */
export const newTotpSecret = (): string => generateSecret({ length: 20 });

/** The `otpauth://` URI that an authenticator app reads from a QR code. */
export const totpUri = (secret: string, username: string): string =>
  generateURI({ strategy: 'totp', issuer: 'Strongroom', label: username, secret, period: PERIOD });
