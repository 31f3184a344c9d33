/**
 * Makes Strongroom's built-in placeholder model: a real GGUF file of the llama architecture whose weights are
 * constructed, not trained. Whatever it is asked, it says one fixed text and stops.
 *
 *   node models/demo/make-demo-model.ts                            writes models/demo/scripted.gguf
 *   node models/demo/make-demo-model.ts --loop --out FILE          never stops (for tests of aborting)
 *   node models/demo/make-demo-model.ts --say JSON --out FILE      says other pieces, one token each: a JSON array of
 *                                                                  strings or of byte arrays (to split a character)
 *
 * Same arguments, same bytes. How it works: attention and feed-forward layers are all zero, so what reaches the output
 * is the embedding of the last token alone. Each token of the script owns one row of a Walsh-Hadamard matrix as its
 * embedding; the rows are orthogonal, so the output row of a token can be written down as the sum of the rows of those
 * tokens that it is to follow, and every other token gets exactly nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { tokenName, trainVocabulary } from './byte-pair.ts';
import { gguf, type MetadataValue, type Tensor } from './gguf-writer.ts';

/** What the placeholder says. The pieces differ from each other, since each decides alone what follows. */
export const SCRIPT: readonly string[] = [
  ...['This', ' answer', ' comes', ' from', ' Strongroom', "'s", ' built', '-in', ' placeholder', ' model.'],
  ...[' A', ' real', ' llama', '.cpp', ' engine', ' on this', ' machine', ' computed', ' it', ' and', ' it is'],
  ...[
    ' on the',
    ' audit',
    ' record.',
    ' The',
    ' words',
    ' never',
    ' change:',
    ' for',
    ' answers',
    ' of',
    ' substance,',
  ],
  ...[
    ' a bank',
    ' configures',
    ' its own',
    ' model',
    ' in',
    ' strongroom',
    '.yaml.',
    ' 这是',
    '内置的',
    '占位',
    '模型',
  ],
  ...[
    '在本机',
    '引擎',
    '上的',
    '回答',
    '，',
    '已写入',
    '审计',
    '记录',
    '；',
    '请在',
    '配置',
    '中',
    '换成',
    '自己的',
    '模型。',
  ],
];

export interface DemoModelOptions {
  /** Begins again instead of stopping. */
  readonly loop?: boolean;
  /** Turns a text into the mean of its tokens' vectors, rows of the matrix: texts without a common token lie at right angles. */
  readonly pooling?: 'mean';
  /** One token each: text, or raw bytes. */
  readonly say?: readonly (string | readonly number[])[];
}

const WIDTH = 256;
const CONTEXT = 4096;
const HEADS = 4;
const KV_HEADS = 2;
const FEED_FORWARD = 256;
const VOCABULARY = 1024;
/** Output weights are multiplied by this: a wanted token then leads by 128, which no temperature up to 2 overcomes. */
const GAIN = 0.5;
const CONTROL = { end: '<|endoftext|>', start: '<|im_start|>', stop: '<|im_end|>', pad: '<|pad|>' } as const;

/** Text to learn merges from, so that prompts do not cost a token per byte. */
const CORPUS = `What is the answer to this question? Please write a short summary of the following document for the credit
committee. How do I explain the risk of this loan to a customer? Compare the balance sheet of the company with the last
year and list the most important changes. The bank keeps a record of each request and of every answer that was given.
Which of these payments are unusual, and why? Translate the letter into English. You are a helpful assistant in a bank;
answer in the language of the user and say so when you do not know. The customer has a mortgage, two credit cards and an
account with us. Interest rates, collateral, income, liquidity, audit, compliance, report, policy, account, transfer.
请把下面的文件总结成三点。请解释一下这笔贷款的风险。客户的收入和负债是多少？请用中文回答问题。银行的审计记录是什么？
我们需要一份关于这家公司的报告。你好，请问这个模型能做什么？user assistant system hello world test tell me about it`;

/** Next-token links that make grammar-forced JSON end well; weaker than the script's own (1). In sixteenths. */
const JSON_LINKS: readonly (readonly [from: string, to: string, weight: number])[] = [
  ...link('{', [
    ['"', 10],
    ['}', 8],
  ]),
  ...link('"', [
    [':', 12],
    ['}', 10],
    [']', 8],
    [',', 7],
  ]),
  ...link(':', [
    ['"', 12],
    ['1', 11],
    ['t', 10],
    ['[', 8],
    ['{', 7],
    ['n', 4],
  ]),
  ...link(',', [
    ['"', 12],
    ['1', 11],
    ['t', 10],
    ['{', 8],
  ]),
  ...link('[', [
    ['"', 12],
    ['1', 11],
    ['t', 10],
    ['{', 8],
    [']', 6],
  ]),
  ...['1', 'e', 'l'].flatMap((value) =>
    link(value, [
      ['}', 10],
      [']', 8],
      [',', 7],
    ]),
  ),
  ...[']', '}'].flatMap((close) =>
    link(close, [
      [CONTROL.stop, 11],
      ['}', 10],
      [']', 8],
      [',', 7],
    ]),
  ),
];

function link(from: string, to: readonly (readonly [string, number])[]) {
  return to.map(([target, weight]) => [from, target, weight / 16] as const);
}

/** Row of the Walsh-Hadamard matrix: entries are 1 and -1, different rows are orthogonal. */
function hadamardRow(row: number): Float32Array {
  return Float32Array.from({ length: WIDTH }, (_, column) => {
    let bits = row & column;
    let sign = 1;
    for (; bits !== 0; bits &= bits - 1) sign = -sign;
    return sign;
  });
}

/** The complete model file. */
export function demoModel(options: DemoModelOptions = {}): Buffer {
  const pieces = (options.say ?? SCRIPT).map(tokenName);
  if (pieces.length === 0 || pieces.some((piece) => piece === '')) throw new Error('say at least one non-empty piece');
  if (new Set(pieces).size !== pieces.length) throw new Error('the pieces must differ: each decides what follows it');

  const vocabulary = trainVocabulary(CORPUS, VOCABULARY - 256 - 4 - pieces.length);
  const ids = new Map(vocabulary.tokens.map((name, id) => [name, id]));
  const idOf = (name: string): number => {
    const known = ids.get(name);
    if (known !== undefined) return known;
    const id = vocabulary.tokens.push(name) - 1;
    ids.set(name, id);
    return id;
  };
  const control = Object.values(CONTROL).map(idOf);
  const script = pieces.map(idOf);
  for (let filler = 0; vocabulary.tokens.length < VOCABULARY; filler++) idOf(tokenName(` unused${filler}`));

  const about = metadata(vocabulary.tokens, vocabulary.merges, new Set(control), idOf);
  if (options.pooling === 'mean') about.set('llama.pooling_type', { type: 'u32', value: 1 });
  return gguf(about, [...vocabularyTensors(script, options.loop === true, idOf), ...silentLayer()]);
}

/** Embeddings and output rows: who follows whom. */
function vocabularyTensors(script: readonly number[], loop: boolean, idOf: (name: string) => number): Tensor[] {
  const rows = new Map<number, number>();
  const rowOf = (id: number): number => {
    const row = rows.get(id) ?? rows.size + 1;
    if (row >= WIDTH) throw new Error(`at most ${WIDTH - 1} different tokens can have a successor of their own`);
    rows.set(id, row);
    return row;
  };
  const embedding = new Float32Array(VOCABULARY * WIDTH);
  const output = new Float32Array(VOCABULARY * WIDTH);
  const follow = (fromRow: number, to: number, weight: number) => {
    hadamardRow(fromRow).forEach((value, i) => {
      output[to * WIDTH + i] = (output[to * WIDTH + i] ?? 0) + value * weight * GAIN;
    });
  };

  const first = script[0] ?? 0;
  const last = script.at(-1) ?? 0;
  // Row 0 is shared by all tokens without a row of their own: they all begin the script.
  follow(0, first, 1);
  script.forEach((id, i) => void follow(rowOf(id), script[i + 1] ?? (loop ? first : idOf(CONTROL.stop)), 1));
  const spoken = new Set(script);
  for (const name of new Set(JSON_LINKS.map(([from]) => from))) {
    if (!spoken.has(idOf(name))) follow(rowOf(idOf(name)), first, 1);
  }
  for (const [from, to, weight] of JSON_LINKS) follow(rowOf(idOf(from)), idOf(to), weight);
  // Inside a JSON string, where stopping is not allowed, the text's end closes the string.
  if (!loop) follow(rowOf(last), idOf('"'), 12 / 16);

  for (let id = 0; id < VOCABULARY; id++) embedding.set(hadamardRow(rows.get(id) ?? 0), id * WIDTH);
  return [
    { name: 'token_embd.weight', shape: [WIDTH, VOCABULARY], type: 'f16', values: embedding },
    { name: 'output.weight', shape: [WIDTH, VOCABULARY], type: 'f16', values: output },
    { name: 'output_norm.weight', shape: [WIDTH], type: 'f32', values: new Float32Array(WIDTH).fill(1) },
  ];
}

/** One transformer layer that is computed like any other and adds nothing. */
function silentLayer(): Tensor[] {
  const keyValueWidth = (WIDTH / HEADS) * KV_HEADS;
  const zero = (name: string, columns: number, rows: number): Tensor => ({
    name: `blk.0.${name}.weight`,
    shape: [columns, rows],
    type: 'f16',
    values: new Float32Array(columns * rows),
  });
  const ones = (name: string): Tensor => ({
    name: `blk.0.${name}.weight`,
    shape: [WIDTH],
    type: 'f32',
    values: new Float32Array(WIDTH).fill(1),
  });
  return [
    ones('attn_norm'),
    zero('attn_q', WIDTH, WIDTH),
    zero('attn_k', WIDTH, keyValueWidth),
    zero('attn_v', WIDTH, keyValueWidth),
    zero('attn_output', WIDTH, WIDTH),
    ones('ffn_norm'),
    zero('ffn_gate', WIDTH, FEED_FORWARD),
    zero('ffn_up', WIDTH, FEED_FORWARD),
    zero('ffn_down', FEED_FORWARD, WIDTH),
  ];
}

function metadata(
  tokens: readonly string[],
  merges: readonly string[],
  control: ReadonlySet<number>,
  idOf: (name: string) => number,
): Map<string, MetadataValue> {
  const u32 = (value: number): MetadataValue => ({ type: 'u32', value });
  const text = (value: string): MetadataValue => ({ type: 'string', value });
  const template = readFileSync(new URL('./chat-template.jinja', import.meta.url), 'utf8');
  return new Map<string, MetadataValue>([
    ['general.architecture', text('llama')],
    ['general.name', text('strongroom-demo')],
    ['general.description', text('Placeholder with constructed weights: says one fixed text, whatever it is asked.')],
    ['general.file_type', u32(1)],
    ['general.alignment', u32(32)],
    ['llama.context_length', u32(CONTEXT)],
    ['llama.embedding_length', u32(WIDTH)],
    ['llama.block_count', u32(1)],
    ['llama.feed_forward_length', u32(FEED_FORWARD)],
    ['llama.attention.head_count', u32(HEADS)],
    ['llama.attention.head_count_kv', u32(KV_HEADS)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-5 }],
    ['llama.rope.dimension_count', u32(WIDTH / HEADS)],
    ['llama.rope.freq_base', { type: 'f32', value: 10000 }],
    ['llama.vocab_size', u32(VOCABULARY)],
    ['tokenizer.ggml.model', text('gpt2')],
    ['tokenizer.ggml.pre', text('gpt-2')],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    // 1 is a normal token, 3 a control token, which user text can never become.
    ['tokenizer.ggml.token_type', { type: 'i32s', value: tokens.map((_, id) => (control.has(id) ? 3 : 1)) }],
    ['tokenizer.ggml.merges', { type: 'strings', value: merges }],
    ['tokenizer.ggml.bos_token_id', u32(idOf(CONTROL.end))],
    ['tokenizer.ggml.eos_token_id', u32(idOf(CONTROL.stop))],
    ['tokenizer.ggml.eot_token_id', u32(idOf(CONTROL.stop))],
    ['tokenizer.ggml.padding_token_id', u32(idOf(CONTROL.pad))],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: false }],
    ['tokenizer.chat_template', text(template)],
  ]);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { loop: { type: 'boolean' }, say: { type: 'string' }, out: { type: 'string' } },
  });
  const out = values.out ?? fileURLToPath(new URL('./scripted.gguf', import.meta.url));
  writeFileSync(
    out,
    demoModel({ loop: values.loop === true, ...(values.say === undefined ? {} : { say: JSON.parse(values.say) }) }),
  );
}
