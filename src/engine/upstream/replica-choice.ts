import type { GenerationRequest } from '#engine/engine.ts';
import { cacheOwner } from '#engine/llama/cache-owner.ts';

/** A server that may be asked, as far as the choice goes. */
export interface Candidate {
  /** Questions that it answers now, of ours. */
  readonly busy: number;
  /** Of its name: the same on every gateway. */
  readonly seed: number;
}

/** What of a conversation is looked at: its first turns stay the same while it grows. */
const LOOKED_AT = 512;

/**
 * Names a conversation by its user and its beginning, so that the server that has its prefix in its cache is found again:
 * by any gateway, without a memory of who went where.
 */
export function affinityOf(request: GenerationRequest): number {
  const { messages, prompt } = request;
  let hash = mixText(BASIS, cacheOwner(request));
  if (prompt !== undefined) return mixText(hash, prompt);
  for (const { role, content } of messages) {
    hash = mixText(hash, content);
    // Whatever stands before the first question belongs to it; a second one may differ.
    if (role === 'user') break;
  }
  return hash;
}

/** Of a server's name. */
export const seedOf = (name: string): number => mixText(BASIS, name);

/** FNV-1a over UTF-16 units. */
const BASIS = 0x811c9dc5;
function mixText(start: number, text: string): number {
  let hash = start;
  const end = Math.min(text.length, LOOKED_AT);
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** Mixes two numbers so that every bit of both counts (the finaliser of MurmurHash3). */
function weigh(key: number, seed: number): number {
  let hash = key ^ seed;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A server may be so much busier than the least busy one and still be preferred for what it remembers. */
const slackOf = (least: number): number => Math.max(2, least >> 2);

/**
 * Which server answers: of those that are not much busier than the least busy one, the one with the highest weight for
 * this conversation (rendezvous hashing, with bounded load). Without a conversation the least busy, in turn.
 *
 * Runs for every request: no allocation. @returns -1 where there is none
 */
export function choose(candidates: readonly Candidate[], affinity: number | null, turn: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { busy } of candidates) if (busy < least) least = busy;
  const most = affinity === null ? least : least + slackOf(least);
  const { length } = candidates;
  let chosen = -1;
  let best = -1;
  for (let step = 0; step < length; step++) {
    const at = (turn + step) % length;
    const candidate = candidates[at];
    if (candidate === undefined || candidate.busy > most) continue;
    if (affinity === null) return at;
    const weight = weigh(affinity, candidate.seed);
    if (weight > best) {
      best = weight;
      chosen = at;
    }
  }
  return chosen;
}
