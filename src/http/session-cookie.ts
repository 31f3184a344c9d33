import { SESSION_COOKIE } from './credential.ts';

const COMMON = 'Path=/; Secure; HttpOnly; SameSite=Strict';
const YEAR = 365 * 24 * 3600;

/** Tells this browser from others that guess, per account; signed, and of no use for signing in. */
export const DEVICE_COOKIE = '__Host-strongroom-device';

/** `expires` is RFC 3339: the absolute end of the session. */
export const sessionCookie = (token: string, expires: string): string =>
  `${SESSION_COOKIE}=${token}; ${COMMON}; Expires=${new Date(expires).toUTCString()}`;

export const deviceCookie = (device: string): string => `${DEVICE_COOKIE}=${device}; ${COMMON}; Max-Age=${YEAR}`;

/** Sent where a session has ended. */
export const NO_COOKIE = `${SESSION_COOKIE}=; ${COMMON}; Max-Age=0`;
