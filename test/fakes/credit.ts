import type { TokenCredit } from '#engine/engine.ts';

/** For an engine whose cost is not what a test is about. */
export const PAID: TokenCredit = {
  total: Number.MAX_SAFE_INTEGER,
  final: true,
  failure: null,
  begin: () => null,
  reach: () => {},
  covers: async () => true,
  watch: () => () => {},
};
