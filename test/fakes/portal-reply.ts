import type { ServerResponse } from 'node:http';

export function json(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

interface Extra {
  readonly retryAfter?: number;
  readonly message?: string;
  readonly challenge?: string;
  readonly operation?: string;
}

export function problem(response: ServerResponse, path: string, status: number, code: string, extra: Extra = {}): void {
  const { retryAfter, message = `The fake says ${code}.`, ...members } = extra;
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  const openAi = path.startsWith('/v1/');
  response.writeHead(status, { 'content-type': openAi ? 'application/json' : 'application/problem+json' });
  const document = openAi
    ? { error: { message, type: 'error', param: null, code } }
    : { type: 'about:blank', title: code, status, detail: message, code, ...members };
  response.end(JSON.stringify(document));
}
