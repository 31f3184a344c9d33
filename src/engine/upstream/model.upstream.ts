import type {
  EmbeddingEvent,
  EmbeddingRequest,
  Engine,
  GenerationDelta,
  GenerationRequest,
  Milestone,
  ModelStatus,
  Take,
  TokenLogprob,
} from '#engine/engine.ts';
import type { CallPiece } from '#engine/grammar/call-reader.ts';
import { SchemaJudge } from '#engine/grammar/schema-judge.vm.ts';
import { unsampled } from '#engine/making.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { makesNoText, makesNoVectors, promptParam, promptTexts } from '#engine/refusal.ts';
import { Problem } from '#kernel/problem.ts';
import { UpstreamError } from './answer.upstream.ts';
import { CallCheck, unfit, wordsOf } from './call-check.upstream.ts';
import { readComplaint, type UpstreamPiece } from './completion.contract.ts';
import { Likelihoods } from './likelihoods.upstream.ts';
import type { Exchange } from './replica.upstream.ts';
import { affinityOf } from './replica-choice.ts';
import { failed, type UpstreamDeps, UpstreamService } from './service.upstream.ts';
import { estimatePrompt, inputBound, inputTooLong, promptBound } from './upstream-count.ts';
import { type Refused, refusalOf } from './upstream-refusal.ts';
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
      // More than its context holds a server refuses; one of our own stops there.
      const longest = Math.min(
        request.maxTokens ?? this.#spec.maxOutputTokens,
        this.#spec.contextSize ?? Number.POSITIVE_INFINITY,
      );
      // Another server's whole answer can't be stopped half-way: it is paid for in advance.
      await credit.begin(prompt, longest, !stream);
      stop.check();
      const most = stream ? longest : Math.min(longest, credit.total - prompt);
      const call = generationCall(this.#spec, request, most);
      const affinity = this.#spec.urls.length > 1 ? affinityOf(request) : null;
      const exchange = await this.#service.send(visit, call, { subject, affinity, whole: !stream });
      const { answer } = exchange;
      const refused = { tooLong: () => this.#tooLong(request), schemaParam: schemaParam(request) };
      if (answer.status !== 200) throw await refusal(exchange, refused);
      checkHead(answer, stream);
      // What was not said, the server decides; which build it is, it does not say.
      const server = exchange.replica.name;
      yield {
        type: 'started',
        promptTokens: prompt,
        making: { build: null, temperature, topP, seed, queuedMs, server },
      };
      stop.check();

      const reader = new AnswerReader((status, complaint) => refusalOf(status, complaint, refused));
      const made = request.tools === undefined ? null : new CallCheck(request.tools);
      const { topLogprobs } = request;
      const likelihoods = topLogprobs === undefined ? null : new Likelihoods(topLogprobs, { most, isWhole: !stream });
      let said = '';
      const tally = this.#service.tally.begin({
        ...{ texts: promptTexts(request), prompt, asked: most },
        mayCall: made !== null,
      });
      let pieces = stream ? NONE : [reader.whole(call, await answer.text(this.#service.limits.maxAnswerBytes))];
      for (;;) {
        if (pieces.length > 0) exchange.answering();
        for (const piece of pieces) {
          const calls = made?.take(piece.calls) ?? NO_CALLS;
          const tokens = tally.take(piece, wordsOf(calls));
          const logprobs = likelihoods?.take(piece);
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
          const taken = take(deltaOf(piece, tokens, calls, logprobs));
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
      yield { type: 'finished', reason: reason === 'length' ? 'length' : end, usage: await tally.usage(credit) };
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
      const tooLong = () => inputTooLong(request, this.#spec.contextSize);
      if (answer.status !== 200) throw await refusal(exchange, { tooLong, schemaParam: null });
      checkHead(answer, false);
      const making = unsampled(null, visit.queuedMs, exchange.replica.name);
      yield { type: 'started', promptTokens: prompt, longest: Math.max(...bounds), making };
      visit.stop.check();
      const { vectors, usage } = vectorsOf(await answer.text(this.#service.limits.maxAnswerBytes), texts.length);
      visit.complete();
      for (const [index, values] of vectors.entries()) yield { type: 'vector', index, values };
      const tally = this.#service.tally.begin({ texts, prompt, asked: 0, mayCall: false });
      tally.reported(usage);
      yield { type: 'finished', reason: 'stop', usage: await tally.usage(request.credit) };
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
    if (!(await fits(said, format.schema)))
      throw unfit('answer does not fit the schema', 'an answer that does not fit the schema');
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

async function refusal(exchange: Exchange, refused: Refused): Promise<Problem> {
  const { answer } = exchange;
  const body = await answer.text(ERROR_BODY_BYTES).catch(() => '');
  if (answer.status >= 500) exchange.failed('answered');
  return refusalOf(answer.status, readComplaint(body) ?? { code: null, message: body, param: null }, refused);
}

/** Where the schema stands that the answer is to fit. */
function schemaParam({ responseFormat, tools }: GenerationRequest): string | null {
  if (responseFormat.type === 'json_schema') return 'response_format';
  return tools === undefined ? null : 'tools';
}

/** A piece as the caller gets it. */
function deltaOf(
  { text, thought }: UpstreamPiece,
  tokens: number,
  calls: readonly CallPiece[],
  logprobs: readonly TokenLogprob[] | undefined,
): GenerationDelta {
  if (logprobs === undefined && thought === '' && calls.length === 0) return { type: 'delta', text, tokens };
  return {
    ...{ type: 'delta', text, tokens },
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(thought === '' ? {} : { thought }),
    ...(calls.length === 0 ? {} : { calls }),
  };
}
