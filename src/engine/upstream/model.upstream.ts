import type {
  EmbeddingEvent,
  EmbeddingRequest,
  Engine,
  GenerationDelta,
  GenerationRequest,
  Milestone,
  ModelStatus,
  Take,
} from '#engine/engine.ts';
import type { CallPiece } from '#engine/grammar/call-reader.ts';
import { SchemaJudge } from '#engine/grammar/schema-judge.vm.ts';
import { unsampled } from '#engine/making.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { makesNoText, makesNoVectors, promptParam, promptTexts } from '#engine/refusal.ts';
import { Problem } from '#kernel/problem.ts';
import { UpstreamError } from './answer.upstream.ts';
import { CallCheck, wordsOf } from './call-check.upstream.ts';
import { readLogprobs, type UpstreamPiece } from './completion.contract.ts';
import type { Exchange } from './replica.upstream.ts';
import { affinityOf } from './replica-choice.ts';
import { failed, type UpstreamDeps, UpstreamService } from './service.upstream.ts';
import { estimatePrompt, inputBound, inputTooLong, promptBound } from './upstream-count.ts';
import { refusalOf } from './upstream-refusal.ts';
import { embeddingCall, vectorsOf } from './vectors.upstream.ts';
import { AnswerReader, checkHead, generationCall } from './wire.upstream.ts';

/** Opens a model on OpenAI-compatible servers (vLLM, SGLang, llama-server, Strongroom). Connects when it is put in service. */
export function openUpstreamModel(spec: UpstreamModelSpec, deps: UpstreamDeps): Engine {
  if (spec.urls.length === 0) throw new Error(`model '${spec.id}': no server is named`);
  for (const url of spec.urls) {
    const { protocol, username, password, search } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`model '${spec.id}': url must be http or https`);
    // It stands in logs and on pages.
    if (username + password + search !== '') throw new Error(`model '${spec.id}': url must hold no secret`);
  }
  return new UpstreamEngine(spec, deps);
}

const ERROR_BODY_BYTES = 16 * 1024;
const NONE: readonly UpstreamPiece[] = [];
const NO_CALLS: readonly CallPiece[] = [];

class UpstreamEngine implements Engine {
  readonly #schemas = new SchemaJudge();
  readonly #spec: UpstreamModelSpec;
  readonly #service: UpstreamService;

  constructor(spec: UpstreamModelSpec, deps: UpstreamDeps) {
    this.#spec = spec;
    this.#service = new UpstreamService(spec, deps);
  }

  status(): ModelStatus {
    return this.#service.status();
  }

  load(): Promise<void> {
    return this.#service.load();
  }

  pardon(): void {}

  async close(): Promise<void> {
    await Promise.all([this.#service.close(), this.#schemas.close()]);
  }

  async *generate(request: GenerationRequest, signal: AbortSignal, take: Take): AsyncGenerator<Milestone, void> {
    signal.throwIfAborted();
    this.#service.check();
    if (this.#spec.embedding) throw makesNoText();
    if (request.responseFormat.type !== 'text' && this.#spec.structuredOutput === false) {
      throw new Problem('invalid_parameter', {
        message: 'This model does not enforce response formats.',
        param: 'response_format',
      });
    }
    const visit = await this.#service.enter(request, signal);
    try {
      const { stop, queuedMs } = visit;
      const { credit, stream, subject, temperature = null, topP = null, seed = null } = request;
      const prompt = promptBound(request);
      const longest = request.maxTokens ?? this.#spec.maxOutputTokens;
      // Another server's whole answer can't be stopped half-way: it is paid for in advance.
      await credit.begin(prompt, longest, !stream);
      stop.check();
      const most = stream ? longest : Math.min(longest, credit.total - prompt);
      const call = generationCall(this.#spec, request, most);
      const affinity = this.#spec.urls.length > 1 ? affinityOf(request) : null;
      const exchange = await this.#service.send(visit, call, { subject, affinity, whole: !stream });
      const { answer } = exchange;
      if (answer.status !== 200) throw await refusal(exchange, () => this.#tooLong(request));
      checkHead(answer, stream);
      // What was not said, the server decides; which build it is, it does not say.
      const server = exchange.replica.name;
      yield {
        type: 'started',
        promptTokens: prompt,
        making: { build: null, temperature, topP, seed, queuedMs, server },
      };
      stop.check();

      const reader = new AnswerReader();
      const made = request.tools === undefined ? null : new CallCheck(request.tools);
      let said = '';
      const tally = this.#service.tally.begin({ texts: promptTexts(request), prompt, asked: most });
      let pieces = stream ? NONE : [reader.whole(call, await answer.text(this.#service.limits.maxAnswerBytes))];
      for (;;) {
        if (pieces.length > 0) exchange.answering();
        for (const piece of pieces) {
          const calls = made?.take(piece.calls) ?? NO_CALLS;
          const tokens = tally.take(piece, wordsOf(calls));
          if (tokens === null) continue;
          const covered = credit.covers(prompt + tally.sampled);
          if (!(covered === true || (await covered))) {
            // Nothing more is paid for: this piece does not leave, and the rest is not wanted.
            answer.end(failed('no more is paid for'));
            exchange.complete();
            yield { type: 'finished', reason: 'length', usage: tally.without(tokens) };
            return;
          }
          if (request.responseFormat.type === 'json_schema') said += piece.text;
          const taken = take(deltaOf(piece, tokens, calls, request));
          // Most take at once, and to wait for nothing costs as much as the rest.
          if (!(taken === true || (await taken))) return;
          stop.check();
        }
        if (reader.isDone) break;
        // Whoever said why he ends has ended, also where he then says nothing more.
        const bytes = await (reader.finishReason === null ? answer.read() : answer.read().catch(() => null));
        stop.check();
        if (bytes === null) break;
        pieces = reader.pieces(bytes);
      }
      const reason = reader.finishReason;
      if (reason === null) throw new UpstreamError('answer ended without a finish reason');
      visit.complete();
      if (reason !== 'length') await this.#judge(request, made, said);
      stop.check();
      const end = made?.hasCalled ? 'tool_calls' : 'stop';
      yield { type: 'finished', reason: reason === 'length' ? 'length' : end, usage: tally.usage() };
    } catch (error) {
      throw this.#service.failure(visit, error);
    } finally {
      this.#service.leave(visit);
    }
  }

  /** All texts in one question: its answer comes at once, or not at all. */
  async *embed(request: EmbeddingRequest, signal: AbortSignal): AsyncGenerator<EmbeddingEvent, void, undefined> {
    signal.throwIfAborted();
    this.#service.check();
    if (!this.#spec.embedding) throw makesNoVectors();
    const visit = await this.#service.enter(request, signal);
    try {
      const { subject, inputs: texts } = request;
      const bounds = texts.map(inputBound);
      const prompt = bounds.reduce((sum, bound) => sum + bound, 0);
      await request.credit.begin(prompt, 0, true);
      visit.stop.check();
      const exchange = await this.#service.send(visit, embeddingCall(this.#spec, request), {
        subject,
        affinity: null,
        whole: true,
      });
      const { answer } = exchange;
      if (answer.status !== 200) throw await refusal(exchange, () => inputTooLong(request, this.#spec.contextSize));
      checkHead(answer, false);
      const making = unsampled(null, visit.queuedMs, exchange.replica.name);
      yield { type: 'started', promptTokens: prompt, longest: Math.max(...bounds), making };
      visit.stop.check();
      const { vectors, usage } = vectorsOf(await answer.text(this.#service.limits.maxAnswerBytes), texts.length);
      visit.complete();
      for (const [index, values] of vectors.entries()) yield { type: 'vector', index, values };
      const tally = this.#service.tally.begin({ texts, prompt, asked: 0 });
      tally.reported(usage);
      yield { type: 'finished', reason: 'stop', usage: tally.usage() };
    } catch (error) {
      throw this.#service.failure(visit, error);
    } finally {
      this.#service.leave(visit);
    }
  }

  /** Another server's word that it has kept to a schema is not taken. @throws UpstreamError where it has not */
  async #judge({ responseFormat: format }: GenerationRequest, made: CallCheck | null, said: string): Promise<void> {
    const fits: SchemaJudge['fits'] = (text, schema) => this.#schemas.fits(text, schema);
    await made?.end(fits);
    if (made?.hasCalled || format.type !== 'json_schema') return;
    if (!(await fits(said, format.schema))) throw new UpstreamError('answer does not fit the schema');
  }

  #tooLong(request: GenerationRequest): Problem {
    const estimate = estimatePrompt(request);
    const size = this.#spec.contextSize;
    const context = size === undefined ? 'is smaller' : `holds ${size}, the answer included`;
    return new Problem('context_length_exceeded', {
      message: `The prompt has about ${estimate} tokens; this model's context ${context}.`,
      param: promptParam(request),
    });
  }
}

async function refusal(exchange: Exchange, tooLong: () => Problem): Promise<Problem> {
  const { answer } = exchange;
  const body = await answer.text(ERROR_BODY_BYTES).catch(() => '');
  if (answer.status >= 500) exchange.failed('answered');
  return refusalOf(answer.status, body, tooLong);
}

/** A piece as the caller gets it. @throws UpstreamError where its tokens' probabilities were asked for and did not come */
function deltaOf(
  { text, thought, logprobs: told }: UpstreamPiece,
  tokens: number,
  calls: readonly CallPiece[],
  { topLogprobs }: GenerationRequest,
): GenerationDelta {
  const isAsked = topLogprobs !== undefined && text !== '';
  if (!isAsked && thought === '' && calls.length === 0) return { type: 'delta', text, tokens };
  const logprobs = isAsked ? readLogprobs(told, topLogprobs) : undefined;
  if (logprobs === null || logprobs?.length === 0) throw new UpstreamError('answer without the logprobs asked for');
  return {
    ...{ type: 'delta', text, tokens },
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(thought === '' ? {} : { thought }),
    ...(calls.length === 0 ? {} : { calls }),
  };
}
