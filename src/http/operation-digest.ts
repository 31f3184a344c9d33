import { createHash } from 'node:crypto';
import type { Exchange } from './exchange.ts';

/** A proof is bound to exactly this: method, route, decoded path parameters, raw query, raw body. */
export function operationDigest({ request, route, params, rawBody }: Exchange): string {
  const query = (request.url ?? '').split('?').slice(1).join('?');
  const hash = createHash('sha256');
  for (const part of [route.method, route.id, JSON.stringify(Object.entries(params).sort()), query]) {
    hash.update(`${Buffer.byteLength(part)}:${part}`);
  }
  return hash.update(rawBody).digest('hex');
}
