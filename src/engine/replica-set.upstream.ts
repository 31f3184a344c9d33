import { type UpstreamAnswer, UpstreamClient, UpstreamError, type UpstreamLimits } from './http-client.upstream.ts';
import type { UpstreamModelSpec } from './model-spec.ts';
import type { UpstreamCall } from './wire.upstream.ts';

/** The servers behind one model: which of them answers a question is decided here. */
export class ReplicaSet {
  readonly #client: UpstreamClient;

  constructor(spec: UpstreamModelSpec, limits: UpstreamLimits) {
    this.#client = new UpstreamClient(spec, limits);
  }

  /** Sends a question and waits for the head of the answer. @throws UpstreamError; `signal.reason` on abort */
  send(call: UpstreamCall, signal: AbortSignal): Promise<UpstreamAnswer> {
    return this.#client.request('POST', call.path, call.body, signal);
  }

  /** @throws UpstreamError when no server answers at all below 500; that it is the right one shows with a question. */
  async probe(signal: AbortSignal): Promise<void> {
    const answer = await this.#client.request('GET', 'v1/models', null, signal);
    answer.destroy();
    if (answer.status >= 500) throw new UpstreamError('probe failed', answer.status);
  }

  close(): void {
    this.#client.close();
  }
}
