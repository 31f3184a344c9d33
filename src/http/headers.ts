import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { basename } from 'node:path';
import helmet from 'helmet';
import type { RateLimit } from '#kernel/gate.ts';

/** The portal runs under this and nothing weaker: no inline style or script, Trusted Types with one policy for one worker. */
const CONTENT_SECURITY_POLICY = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'connect-src': ["'self'"],
  'font-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'none'"],
  'require-trusted-types-for': ["'script'"],
  // One policy, which lets through one address: that of the worker below.
  'trusted-types': ['strongroom-worker'],
};

/** The one file of the portal that runs WebAssembly, in a worker of its own, with no document within its reach. */
const WORKER_FILE = 'scoring-worker.js';
const WORKER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

/** Headers of a static file beside those of every answer. */
export function staticHeaders(response: ServerResponse, path: string): void {
  if (basename(path) === WORKER_FILE) response.setHeader('content-security-policy', WORKER_POLICY);
}

/**
 * Security headers of every answer. HSTS for two years with a configured certificate only: with the development CA on
 * localhost it would force https on every other local port.
 */
export function securityHeaders(strictTransport: boolean): (response: ServerResponse) => void {
  // They are the same for every answer: Helmet is asked once, and not for each.
  const sample = new ServerResponse(new IncomingMessage(new Socket()));
  const setAll = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: CONTENT_SECURITY_POLICY },
    crossOriginEmbedderPolicy: true,
    referrerPolicy: { policy: 'no-referrer' },
    frameguard: { action: 'deny' },
    hsts: strictTransport ? { maxAge: 63_072_000, includeSubDomains: true } : false,
  });
  setAll(sample.req, sample, (error) => {
    if (error !== undefined) throw error;
  });
  const headers = sample.getHeaderNames().map((name) => [name, sample.getHeader(name) ?? ''] as const);
  return (response) => {
    for (const [name, value] of headers) response.setHeader(name, value);
  };
}

/** `x-ratelimit-*` as OpenAI's clients read them. */
export function setRateLimits(response: ServerResponse, limits: readonly RateLimit[]): void {
  for (const { kind, limit, remaining, resetSeconds } of limits) {
    response.setHeader(`x-ratelimit-limit-${kind}`, String(limit));
    response.setHeader(`x-ratelimit-remaining-${kind}`, String(remaining));
    response.setHeader(`x-ratelimit-reset-${kind}`, `${resetSeconds}s`);
  }
}

/** Where the receipt of this request will be; its owner alone can read it. */
export const setReceipt = (response: ServerResponse, requestId: string): void => {
  response.setHeader('x-audit-receipt', `/v1/receipts/${requestId}`);
};

/** The signed promise of a record that is in the log: of the intent until the outcome is there as well. */
export const setPromise = (response: ServerResponse, promise: string | null): void => {
  if (promise !== null) response.setHeader('x-audit-promise', promise);
};
