import http from 'node:http';
import https from 'node:https';
import type { CustomFetch } from 'openid-client';
import { ProviderUnavailable } from './oidc.ts';

export interface BoundedFetchOptions {
  /** PEM authorities; null: those that Node knows. */
  readonly ca: Buffer | null;
  /** Plain HTTP, for an issuer on this machine. */
  readonly insecure: boolean;
}

const MAX_BYTES = 1024 * 1024;

/**
 * What openid-client sends its requests through. Node's own `fetch` can't be given an authority of the house, follows
 * the proxy settings of nobody knows whom, and reads answers of any length.
 */
export function boundedFetch({ ca, insecure }: BoundedFetchOptions): CustomFetch {
  const agent = insecure
    ? new http.Agent({ maxSockets: 16 })
    : new https.Agent({ maxSockets: 16, minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) });
  return async (address, { method, headers, body, signal }) => {
    const url = new URL(address);
    if (!insecure && url.protocol !== 'https:') throw new ProviderUnavailable('not https');
    const content = body instanceof URLSearchParams ? body.toString() : body;
    if (content !== undefined && content !== null && typeof content !== 'string') throw new TypeError('not a form');
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method,
      agent,
      headers: { ...headers, ...(content ? { 'content-length': Buffer.byteLength(content) } : {}) },
      ...(signal === undefined ? {} : { signal }),
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end(content ?? undefined);
    try {
      const answer = await promise;
      return await responseOf(answer);
    } catch (cause) {
      throw new ProviderUnavailable('the identity provider can’t be reached', { cause });
    } finally {
      request.on('error', () => undefined);
    }
  };
}

async function responseOf(answer: http.IncomingMessage): Promise<Response> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const one of [value ?? []].flat()) headers.append(name, one);
  }
  const status = answer.statusCode ?? 0;
  const isEmpty = status === 204 || status === 205 || status === 304;
  return new Response(isEmpty ? null : Buffer.concat(parts), { status, headers });
}
