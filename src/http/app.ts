import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import express, { type Express } from 'express';
import { newRequestId } from '#kernel/id.ts';
import { Problem } from '#kernel/problem.ts';
import { boundaryFault, refuseBoundary } from './boundary.ts';
import type { ActiveExchanges, Exchange, PipelineDeps } from './exchange.ts';
import { securityHeaders, staticHeaders } from './headers.ts';
import { runPipeline } from './pipeline.ts';
import { sendProblem } from './problem-json.ts';
import type { Route } from './route.ts';
import type { Source } from './source.ts';

export interface AppDeps extends PipelineDeps {
  readonly routes: readonly Route[];
  /** Folder of the built portal. */
  readonly portal: string;
  readonly strictTransport: boolean;
  /** Where a request comes from, through whichever proxies are trusted. */
  readonly sourceOf: (request: IncomingMessage) => Source;
  /** What never reached a route: malformed HTTP, unknown paths. */
  readonly onStray: (reason: string, address: string) => void;
  readonly isDraining: () => boolean;
  readonly active: ActiveExchanges;
}

/** The Express application: boundary, security headers, the route table, the portal's files, and nothing else. */
export function createApp(deps: AppDeps): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  app.set('strict routing', true);
  for (const route of deps.routes) mount(app, route, deps);
  app.use(
    express.static(deps.portal, {
      index: 'index.html',
      dotfiles: 'ignore',
      redirect: false,
      cacheControl: true,
      maxAge: 0,
      etag: true,
      setHeaders: staticHeaders,
    }),
  );
  app.use((request, response) => stray(deps, request, response));
  app.use((error: unknown, request: IncomingMessage, response: ServerResponse, _next: unknown) =>
    refuseMalformed(deps, request, response, error),
  );
  // Express goes through its routes one by one, with a regular expression each, and gives every request and answer
  // another prototype, which is dear: most paths have nothing to be found out by it.
  const plain = new Map(
    deps.routes.filter(({ path }) => !/[:*{]/.test(path)).map((route) => [`${route.method} ${route.path}`, route]),
  );
  const setSecurityHeaders = securityHeaders(deps.strictTransport);
  return (request, response) => {
    // Before anything is looked at: no answer of ours goes out without them.
    setSecurityHeaders(response);
    // Writing to a client that has gone is an event of every day, not a reason to end the process.
    response.on('error', () => {});
    const fault = boundaryFault(request);
    if (fault !== null) {
      deps.onStray(fault, deps.sourceOf(request).address);
      refuseBoundary(response);
      return;
    }
    if (deps.isDraining()) {
      refuseWhileDraining(request, response);
      return;
    }
    const route = plain.get(`${request.method} ${pathOf(request)}`);
    if (route === undefined) {
      (app as unknown as RequestListener)(request, response);
      return;
    }
    try {
      start(route, request, response, {}, deps);
    } catch (error) {
      refuseMalformed(deps, request, response, error);
    }
  };
}

function mount(app: Express, route: Route, deps: AppDeps): void {
  const method = route.method.toLowerCase() as 'get' | 'post' | 'put' | 'patch' | 'delete';
  app[method](route.path, (request, response) =>
    start(route, request, response, request.params as Record<string, string>, deps),
  );
}

const NO_BODY = Buffer.alloc(0);

function start(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  params: Readonly<Record<string, string>>,
  deps: AppDeps,
): void {
  const requestId = newRequestId();
  response.setHeader('x-request-id', requestId);
  const source = deps.sourceOf(request);
  const exchange: Exchange = {
    request,
    response,
    route: route as never,
    params,
    requestId,
    address: source.address,
    peer: source.peer,
    abort: new AbortController(),
    fresh: false,
    rawBody: NO_BODY,
    principal: null,
    input: null,
    resource: null,
    decision: null,
    grant: null,
    operation: null,
    digest: null,
    admissionRequest: null,
    admission: null,
    report: null,
  };
  void deps.active.track(exchange, runPipeline(exchange, deps));
}

function pathOf({ url = '/' }: IncomingMessage): string {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at);
}

function refuseMalformed(deps: AppDeps, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  deps.onStray('malformed path', deps.sourceOf(request).address);
  const requestId = newRequestId();
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.setHeader('x-request-id', requestId);
  sendProblem(response, new Problem('invalid_request', {}, error), request.url ?? '/', requestId);
}

/** Connections that are still open after SIGTERM get no new work over them. */
function refuseWhileDraining(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('connection', 'close');
  sendProblem(response, new Problem('shutting_down', { retryAfter: 5 }), request.url ?? '/', newRequestId());
}

function stray(deps: AppDeps, request: IncomingMessage, response: ServerResponse): void {
  const requestId = newRequestId();
  const path = pathOf(request);
  deps.onStray('unknown route', deps.sourceOf(request).address);
  response.setHeader('x-request-id', requestId);
  const known = deps.routes.filter((route) => route.path === path);
  if (known.length > 0) response.setHeader('allow', known.map((route) => route.method).join(', '));
  sendProblem(response, new Problem(known.length > 0 ? 'method_not_allowed' : 'not_found'), path, requestId);
}
