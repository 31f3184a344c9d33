import type { EmbeddingRequest } from '#engine/engine.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { UpstreamError } from './answer.upstream.ts';
import { readEmbeddings } from './completion.contract.ts';
import type { ReportedUsage } from './upstream-count.ts';

/** Texts that are to become vectors, in OpenAI's words. */
export function embeddingCall(spec: UpstreamModelSpec, request: EmbeddingRequest) {
  const body = JSON.stringify({
    model: spec.model,
    input: request.inputs,
    encoding_format: 'float',
  });
  return { path: 'v1/embeddings', body, read: () => null };
}

/** The vectors in the order of their texts. @throws UpstreamError unless there is exactly one for each */
export function vectorsOf(
  text: string,
  count: number,
): { readonly vectors: readonly Float32Array[]; readonly usage: ReportedUsage | null } {
  const answer = readEmbeddings(text);
  if (answer === null) throw new UpstreamError('malformed answer');
  const found = new Map(answer.data.map(({ index, embedding }) => [index, embedding]));
  const vectors = Array.from({ length: count }, (_, index) => found.get(index));
  if (answer.data.length !== count || !vectors.every((one) => one !== undefined))
    throw new UpstreamError('not one vector for each text');
  return {
    vectors: vectors.map((values) => Float32Array.from(values)),
    usage: answer.usage ? { ...answer.usage, completion_tokens: 0 } : null,
  };
}
