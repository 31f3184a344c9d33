import { hash, randomBytes, randomUUID, randomUUIDv7 } from 'node:crypto';

/**
 * Of what the log has an index: UUIDs of version 7 (RFC 9562), 74 bits of them random. They begin with the time, so that new
 * ones go to one edge of the index and not all over it; nothing reads the time from them.
 */
export const newRequestId = (): string => `req_${randomUUIDv7().replaceAll('-', '')}`;
export const newEventId = (): string => randomUUIDv7();
/** The prefix tells a reader of the log what an id names; the rest is random (122 bits). */
export const newUserId = (): string => `usr_${randomUUID().replaceAll('-', '')}`;

/** A 256-bit secret, base64url, with a prefix that secret scanners can find. */
export const newSecret = (prefix: string): string => `${prefix}${randomBytes(32).toString('base64url')}`;

/** SHA-256 in lower-case hex. Credentials are stored and cached under this alone, never under a part of the text. */
export const sha256Hex = (text: string | Uint8Array): string => hash('sha256', text);

/** 256 random bits. */
export const newKey = (): Buffer => randomBytes(32);
