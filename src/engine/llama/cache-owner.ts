import type { GenerationRequest } from '#engine/engine.ts';

/**
 * For whom a prompt's beginning may be kept in a cache and found again (promise 17). A gateway in front of ours is one
 * user here, and tells its own users apart by a salt.
 */
export const cacheOwner = ({ subject, cacheSalt }: Pick<GenerationRequest, 'subject' | 'cacheSalt'>): string =>
  cacheSalt === undefined ? subject : `${subject} ${cacheSalt}`;
