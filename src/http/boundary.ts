import type { IncomingMessage, ServerResponse } from 'node:http';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
/** Node keeps the first or joins them; a proxy may believe the last. */
const SINGLE: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-type',
  'host',
  'origin',
  'sec-fetch-site',
  'step-up-proof',
  'transfer-encoding',
  'x-api-key',
]);
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * What Node's parser lets through and two servers might read differently (RFC 9112): request smuggling begins here.
 * Returns the fault in words, or null for a request that has one meaning only.
 */
export function boundaryFault(request: IncomingMessage): string | null {
  const { method = '', url = '', httpVersion, headers, rawHeaders } = request;
  if (httpVersion !== '1.1') return 'HTTP/1.1 only';
  if (!METHODS.has(method)) return 'method';
  if (!url.startsWith('/') || url.startsWith('//')) return 'request target';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0020\u007f-\uffff\\]/.test(url)) return 'request target';
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? '';
    if (seen.has(name) && SINGLE.has(name)) return 'a repeated header';
    seen.add(name);
  }
  if (!/^[\w.:[\]-]+$/.test(headers.host ?? '')) return 'Host header';
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && (coding !== 'chunked' || seen.has('content-length'))) return 'transfer coding';
  if (BODILESS.has(method) && (coding !== undefined || Number(headers['content-length'] ?? 0) > 0))
    return 'a body on GET';
  if (headers['upgrade'] !== undefined) return 'upgrade';
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') return 'expectation';
  return null;
}

/** The answer to what is not HTTP as we speak it: closed at once, nothing of it is echoed. */
export function refuseBoundary(response: ServerResponse): void {
  response.writeHead(400, { connection: 'close', 'content-type': 'text/plain; charset=utf-8' });
  response.end('Bad Request\n');
}
