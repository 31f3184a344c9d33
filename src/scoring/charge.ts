import type { Reserve } from '#kernel/gate.ts';
import { decodeFrame } from './frame.shared.ts';

/**
 * What scoring takes of the token budget: a token for each customer, and one for each millisecond of processor
 * time. So the limits that are there (per user, key, role and department, a day and a minute) bound scores and work alike.
 */

/** Milliseconds that are reserved for one evaluation; four times what the largest batch took here. */
const RESERVED_MS = 2000;

/** A frame that is none is refused by what comes after; nothing is computed for it, and all is given back. */
export function reserveFor(frame: Uint8Array): Reserve {
  const customers = decodeFrame(frame)?.head.customers ?? 0;
  // A lie about the number is refused before anything runs; until then it reserves no more than a frame can hold.
  const tokens = Math.min(customers, MOST_CUSTOMERS) + RESERVED_MS;
  return { tokens, least: tokens };
}

const MOST_CUSTOMERS = 4096;

export const chargeFor = (customers: number, cpuMicros: number): number => customers + Math.ceil(cpuMicros / 1000);
