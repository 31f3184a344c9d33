import type { Ending, Report, Reserve } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';
import type { Exchange, PipelineDeps } from './exchange.ts';
import { setPromise } from './headers.ts';
import { sendDownload, sendReply, sendStream, sendStreamProblem } from './reply.ts';
import { ClientClosed, type Reply } from './route.ts';

/** Runs the handler and writes the outcome before the last byte. Returns the code it ended with, if it failed. */
export async function runAndSettle(exchange: Exchange, deps: PipelineDeps): Promise<string | null> {
  const { response, abort, principal, decision } = exchange;
  const onClose = () => {
    if (!response.writableFinished) abort.abort(new ClientClosed());
  };
  response.once('close', onClose);
  if (response.destroyed) onClose();
  const watch = () =>
    principal && decision ? deps.gate.watch(principal, decision, (why) => abort.abort(why)) : () => {};
  let unwatch = exchange.admission ? watch() : () => {};
  let failure: unknown = null;
  let reply: Reply | null = null;
  try {
    reply = await callHandler(exchange, deps);
    // What goes out before its outcome is on record carries the promise of its intent.
    if (reply.kind === 'stream' || reply.kind === 'download') await promiseIntent(exchange);
    if (reply.kind === 'stream') {
      // One that counts and records nothing may last as long as any: it too ends with its session.
      if (exchange.admission === null) unwatch = watch();
      await sendStream(response, reply.tell, abort.signal);
    }
    if (reply.kind === 'download') await sendDownload(response, reply, abort.signal);
    // A whole answer that is made is sent, also where what it did was to end this very session.
    if (reply.kind === 'stream' || reply.kind === 'download' || response.destroyed) abort.signal.throwIfAborted();
  } catch (thrown) {
    failure = abort.signal.aborted ? abort.signal.reason : thrown;
  } finally {
    unwatch();
  }
  let promise: string | null = null;
  try {
    promise = await settle(exchange, deps, failure);
    if (!response.headersSent) setPromise(response, promise);
  } catch (thrown) {
    // What can't be recorded is not finished: the answer ends without its last byte.
    failure = thrown;
    if (!response.headersSent) await promiseIntent(exchange);
  }
  response.off('close', onClose);
  if (failure === null && reply !== null) {
    sendReply(response, reply, promise);
    return null;
  }
  return endFailed(exchange, deps, failure, reply);
}

async function promiseIntent({ response, admission }: Exchange): Promise<void> {
  if (admission !== null) setPromise(response, await admission.promise());
}

function callHandler(exchange: Exchange, { gate }: PipelineDeps): Promise<Reply> {
  const { route, input, requestId, address, peer, abort, request, principal, admission, admissionRequest } = exchange;
  const call = {
    ...(input ?? { params: undefined, query: undefined, body: undefined, size: 0 }),
    requestId,
    address,
    origin: { requestId, address, peer },
    headers: request.headers,
    signal: abort.signal,
    principal,
    rateLimits: admission?.rateLimits ?? [],
    grant: exchange.grant,
    tokens: admission?.tokens ?? 0,
    extend: async (ask: Reserve) => {
      if (admission === null || admissionRequest === null) throw new Problem('internal');
      return gate.extend(admissionRequest, admission, ask);
    },
    report: (source: () => Report) => {
      exchange.report = source;
    },
  };
  return route.handle(call as never);
}

/** Resolves with the promise of the outcome's record. */
async function settle(exchange: Exchange, { gate }: PipelineDeps, failure: unknown): Promise<string | null> {
  const { admission, admissionRequest, report } = exchange;
  if (admission === null || admissionRequest === null) return null;
  const told = report?.() ?? { ran: true, tokens: null, facts: {}, opening: null };
  return gate.settle(admissionRequest, admission, endingOf(failure), told);
}

function endingOf(failure: unknown): Ending {
  if (failure === null) return { outcome: 'completed', code: null };
  if (failure instanceof ClientClosed) return { outcome: 'client_closed', code: null };
  return { outcome: 'failed', code: Problem.from(failure).code };
}

function endFailed(exchange: Exchange, deps: PipelineDeps, failure: unknown, reply: Reply | null): string {
  const { response } = exchange;
  if (failure instanceof ClientClosed || response.destroyed) {
    response.destroy();
    return 'client_closed';
  }
  const problem = Problem.from(failure);
  // While the answer has not begun it can still say so by its status.
  if (!response.headersSent) throw problem;
  if (problem.code === 'internal') deps.onError(exchange, problem.cause ?? problem);
  // The end of a file is no place for a sentence: it breaks off, which every client notices.
  if (reply?.kind === 'download') response.destroy();
  else sendStreamProblem(response, problem);
  return problem.code;
}
