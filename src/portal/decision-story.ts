import type { EventSummary } from '#audit/audit.contract.ts';
import type { ProofDictionary } from './i18n/proof.en.ts';

/** What a record says of its event, beyond the columns. */
export type Facts = Readonly<Record<string, unknown>>;
export type FactName = keyof ProofDictionary['storyFacts'];

export interface StoryFact {
  readonly name: FactName;
  readonly value: string;
}

/** One step of how a request was decided; `words` fill the sentence of its kind. */
export interface StoryStep {
  readonly kind: 'asked' | 'allowed' | 'denied' | 'quota' | 'made' | 'counted' | 'ended';
  /** The record that says so. */
  readonly seq: string;
  readonly words: readonly string[];
  readonly facts: readonly StoryFact[];
}

export type Told = Pick<EventSummary, 'seq' | 'kind' | 'actor' | 'actor_name' | 'action' | 'resource' | 'outcome'> & {
  readonly facts: Facts;
};

const WHO: readonly FactName[] = ['roles', 'department', 'clearance', 'address', 'peer', 'credential', 'route'];
const MADE: readonly FactName[] = [
  'weights_sha256',
  'adapter_sha256',
  'template_sha256',
  'engine_build',
  'answered_by',
  'temperature',
  'top_p',
  'seed',
  'max_tokens',
  'response_format',
  'choices',
  'tools',
  'logit_bias',
  'frequency_penalty',
  'presence_penalty',
  'top_logprobs',
];
const TIMES: readonly FactName[] = ['queue_ms', 'prefill_ms', 'first_token_ms', 'duration_ms'];
const END: readonly FactName[] = [
  'finish_reason',
  'tool_calls',
  'reasoning_bytes',
  'outcome_code',
  'prompt_commitment',
  'answer_commitment',
];

/** The records of one request, oldest first, as a story; what they do not say is left out, never guessed. */
export function storyOf(records: readonly Told[]): readonly StoryStep[] {
  const steps: StoryStep[] = [];
  const first = records.find(({ kind }) => kind === 'intent' || kind === 'denial');
  if (first !== undefined) {
    const { seq, facts, actor, actor_name: name, action, resource } = first;
    const step = (kind: StoryStep['kind'], words: readonly unknown[], names: readonly FactName[]) =>
      steps.push({ kind, seq, words: words.map(grouped), facts: pick(facts, names) });
    step('asked', [name ?? actor, action, resource], WHO);
    if (first.kind === 'denial') step('denied', [facts['outcome_code'] ?? first.outcome], ['conditions']);
    else if (facts['rule'] !== undefined) step('allowed', [facts['rule'], facts['policy_version']], ['conditions']);
    const quota = facts['quota'];
    if (isObject(quota)) step('quota', [quota['requests'], quota['tokens']], []);
  }
  const outcome = records.findLast(({ kind }) => kind === 'outcome');
  if (outcome !== undefined) {
    const { seq, facts } = outcome;
    const step = (kind: StoryStep['kind'], words: readonly unknown[], names: readonly FactName[]) =>
      steps.push({ kind, seq, words: words.map(grouped), facts: pick(facts, names) });
    if (facts['engine'] !== undefined) step('made', [outcome.resource.replace(/^model:/, '')], MADE);
    if (facts['prompt_tokens'] !== undefined)
      step('counted', [facts['prompt_tokens'], facts['completion_tokens'], facts['cached_tokens']], TIMES);
    step('ended', [outcome.outcome], END);
  }
  return steps;
}

const isObject = (value: unknown): value is Facts => typeof value === 'object' && value !== null;

const pick = (facts: Facts, names: readonly FactName[]): readonly StoryFact[] =>
  names.flatMap((name) => {
    const value = facts[name];
    return value === undefined || value === null || value === '' ? [] : [{ name, value: said(value) }];
  });

function said(value: unknown): string {
  if (Array.isArray(value)) return value.map(said).join(', ');
  if (isObject(value))
    return Object.entries(value)
      .map(([name, one]) => `${name} ${said(one)}`)
      .join(', ');
  return String(value ?? '–');
}

const grouped = (value: unknown): string => (typeof value === 'number' ? value.toLocaleString('en') : said(value));
