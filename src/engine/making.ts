import { randomInt } from 'node:crypto';
import type { GenerationRequest, Making } from './engine.ts';

/** Where the caller does not say; a model's own habits are not read from its file. */
const TEMPERATURE = 0.7;
const TOP_P = 0.95;

/** What the caller left open, filled in: it goes to the sampler and on the record. */
export const makingOf = ({ temperature, topP, seed }: GenerationRequest, build: string | null, queuedMs: number) => ({
  build,
  temperature: temperature ?? TEMPERATURE,
  topP: topP ?? TOP_P,
  seed: seed ?? randomInt(2 ** 32),
  queuedMs: Math.round(queuedMs),
});

/** Of what is computed without drawing anything. */
export const unsampled = (build: string | null, queuedMs: number, server?: string): Making => ({
  build,
  temperature: null,
  topP: null,
  seed: null,
  queuedMs: Math.round(queuedMs),
  ...(server === undefined ? {} : { server }),
});

/** What most requests do not say. */
export const samplingOf = ({ logitBias, frequencyPenalty, presencePenalty, topLogprobs }: GenerationRequest) => ({
  ...(logitBias === undefined ? {} : { logitBias: { ...logitBias } }),
  ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
  ...(presencePenalty === undefined ? {} : { presencePenalty }),
  ...(topLogprobs === undefined ? {} : { topLogprobs }),
});
