import { hash, randomBytes, randomUUID } from 'node:crypto';

/** Opaque ids. The prefix tells a reader of the log what an id names; the rest is random (122 bits or more). */
export const newRequestId = (): string => `req_${randomUUID().replaceAll('-', '')}`;
export const newEventId = (): string => randomUUID();
export const newUserId = (): string => `usr_${randomUUID().replaceAll('-', '')}`;

/** A 256-bit secret, base64url, with a prefix that secret scanners can find. */
export const newSecret = (prefix: string): string => `${prefix}${randomBytes(32).toString('base64url')}`;

/** SHA-256 in lower-case hex. Credentials are stored and cached under this alone, never under a part of the text. */
export const sha256Hex = (text: string | Uint8Array): string => hash('sha256', text);

/** 256 random bits. */
export const newKey = (): Buffer => randomBytes(32);
