/**
 * Asks the model the held-out prompts through the product's own engine and prints what share of the answers is good.
 *
 *   node models/demo/training/evaluate.ts --model FILE.gguf [--scores scores.json] [--answers FILE.jsonl]
 *        [--prompts held-out.jsonl] [--corpus FOLDER --python PYTHON]     (the last two: count memorised runs)
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { processEnvironment } from '#config/load.ts';
import type { GenerationDelta, ResponseFormat, TokenCredit } from '#engine/engine.ts';
import { forgetfulMemory } from '#engine/llama/file-memory.ts';
import { openLlamaModel } from '#engine/llama/model.llama.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { openSandbox } from '#engine/llama/sandbox.system.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';

interface Prompt {
  readonly kind: string;
  readonly language: 'en' | 'zh';
  readonly question: string;
  /** An answer on the subject has one word of every group. */
  readonly keys: readonly (readonly string[])[];
  readonly schema: Readonly<Record<string, unknown>> | null;
  /** Definitions only: what an answer that is right word for word holds. */
  readonly parts?: readonly string[];
}

interface Told extends Prompt {
  readonly answer: string;
  readonly ended: boolean;
  readonly onSubject: boolean;
  /** Extraction only: is it JSON, and is it JSON when the schema is enforced. */
  readonly json?: boolean;
  readonly jsonWithSchema?: boolean;
  readonly fieldsRight?: boolean;
  readonly definitionRight?: boolean;
}

const TEMPERATURE = 0.2;
const MEMORISED_RUN = 40;
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Nobody counts here. */
const PAID: TokenCredit = {
  total: Number.MAX_SAFE_INTEGER,
  final: true,
  failure: null,
  begin: () => null,
  reach: () => {},
  covers: async () => true,
  watch: () => () => {},
};

async function ask(engine: LlamaEngine, prompt: Prompt, index: number, responseFormat: ResponseFormat) {
  let text = '';
  let ended = false;
  const request = {
    requestId: `evaluation_${index}`,
    model: 'demo',
    messages: [{ role: 'user', content: prompt.question }] as const,
    temperature: TEMPERATURE,
    topP: 1,
    seed: index,
    responseFormat,
    subject: `usr_${index}`,
    stream: false,
    credit: PAID,
  };
  const take = (delta: GenerationDelta) => {
    text += delta.text;
    return true;
  };
  for await (const event of engine.generate(request, new AbortController().signal, take)) {
    if (event.type === 'finished') ended = event.reason === 'stop';
  }
  return { text, ended };
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

async function judge(engine: LlamaEngine, prompt: Prompt & { answer: string }, index: number): Promise<Told> {
  const { text, ended } = await ask(engine, prompt, index, { type: 'text' });
  const lower = text.toLowerCase();
  const onSubject = prompt.keys.every((group) => group.some((word) => lower.includes(word.toLowerCase())));
  const parts = prompt.parts ?? [];
  const definitionRight = parts.every((part) => lower.includes(part.toLowerCase()));
  const told = { ...prompt, answer: text, ended, onSubject, ...(parts.length > 0 && { definitionRight }) };
  if (prompt.schema === null) return told;
  const format = { type: 'json_schema', name: 'fields', schema: prompt.schema } as const;
  const forced = parsed((await ask(engine, prompt, index, format)).text);
  const object = parsed(text);
  const wanted = Object.keys((prompt.schema['properties'] ?? {}) as object).join();
  return {
    ...told,
    json: object !== null,
    jsonWithSchema: forced !== null && Object.keys(forced).join() === wanted,
    fieldsRight: JSON.stringify(object) === JSON.stringify(parsed(prompt.answer)),
  };
}

/** So many at once; the engine batches them. */
async function inParallel<T, R>(items: readonly T[], width: number, work: (item: T, index: number) => Promise<R>) {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T, i);
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

const share = (items: readonly Told[], good: (item: Told) => boolean | undefined): number =>
  items.length === 0 ? 0 : Math.round((1000 * items.filter(good).length) / items.length) / 10;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: here('../demo.gguf') },
      prompts: { type: 'string', default: here('./held-out.jsonl') },
      scores: { type: 'string' },
      answers: { type: 'string', default: join(tmpdir(), 'strongroom-answers.jsonl') },
      corpus: { type: 'string' },
      python: { type: 'string', default: 'python3' },
    },
  });
  const file = resolve(values.model);
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  const prompts = readFileSync(values.prompts, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Prompt & { answer: string });
  const chatTemplate = readFileSync(here('../chat-template.jinja'), 'utf8');
  const sandbox = await openSandbox('preferred', processEnvironment(), tmpdir(), silentLog);
  const engine = openLlamaModel(
    {
      id: 'demo',
      file,
      sha256,
      chatTemplate,
      contextSize: 1024,
      parallel: 8,
      maxOutputTokens: 256,
      threads: 1,
      gpu: 'cpu',
    },
    {
      log: silentLog,
      clock: systemClock,
      sandbox,
      files: forgetfulMemory(),
    },
  );
  await engine.load();
  const told = await inParallel(prompts, 8, (prompt, index) => judge(engine, prompt, index));
  await engine.close();
  writeFileSync(values.answers, told.map((item) => `${JSON.stringify(item)}\n`).join(''));

  const extraction = told.filter((item) => item.schema !== null);
  const definitions = told.filter((item) => item.definitionRight !== undefined);
  const kinds = [...new Set(told.map(({ kind }) => kind))];
  const scores = {
    sha256,
    prompts: told.length,
    temperature: TEMPERATURE,
    endsByItself: share(told, ({ ended }) => ended),
    onSubject: share(told, ({ onSubject }) => onSubject),
    validJson: share(extraction, ({ json }) => json),
    validJsonWithSchema: share(extraction, ({ jsonWithSchema }) => jsonWithSchema),
    allFieldsRight: share(extraction, ({ fieldsRight }) => fieldsRight),
    ...(definitions.length > 0 && { definitionsRight: share(definitions, ({ definitionRight }) => definitionRight) }),
    onSubjectByKind: Object.fromEntries(
      kinds.map((kind) => [
        kind,
        share(
          told.filter((item) => item.kind === kind),
          ({ onSubject }) => onSubject,
        ),
      ]),
    ),
    onSubjectByLanguage: Object.fromEntries(
      (['en', 'zh'] as const).map((language) => [
        language,
        share(
          told.filter((item) => item.language === language),
          ({ onSubject }) => onSubject,
        ),
      ]),
    ),
    ...(values.corpus === undefined ? {} : memorised(values.corpus, values.python, values.answers)),
  };
  console.table({
    'answers that end by themselves': { reached: scores.endsByItself, wanted: '>= 95 %' },
    'answers on the subject': { reached: scores.onSubject, wanted: '>= 90 %' },
    'extraction: valid JSON without a grammar': { reached: scores.validJson, wanted: '>= 95 %' },
    'extraction: valid JSON with a JSON schema': { reached: scores.validJsonWithSchema, wanted: '100 %' },
    [`answers with more than ${MEMORISED_RUN} memorised tokens in a row`]: {
      reached: 'memorisedRuns' in scores ? scores.memorisedRuns : 'not counted',
      wanted: '<= 20 %',
    },
  });
  console.log(scores);
  if (values.scores !== undefined) writeFileSync(values.scores, `${JSON.stringify(scores, null, 2)}\n`);
}

function memorised(corpus: string, python: string, answers: string) {
  const script = here('./memorised.py');
  const printed = execFileSync(python, [script, corpus, answers, String(MEMORISED_RUN)], { encoding: 'utf8' });
  const counted = JSON.parse(printed) as { answers: number; memorised: number };
  return { memorisedRuns: Math.round((1000 * counted.memorised) / counted.answers) / 10 };
}

await main();
