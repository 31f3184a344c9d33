/**
 * Compares llama.cpp with the training side: `node compare.ts MODEL.gguf EXPECTED.jsonl`, where a line is what sample.py
 * prints (question, prompt tokens, answer tokens, answer) or only `{text, tokens}`. Prints what differs; exit code 1 then.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getLlama, type Token } from 'node-llama-cpp';
import { openPromptRenderer } from '#engine/child/prompt.llama.ts';

interface Expected {
  readonly question?: string;
  readonly prompt?: readonly number[];
  readonly text?: string;
  readonly tokens: readonly number[];
}

const [modelPath, expectedPath] = process.argv.slice(2);
if (modelPath === undefined || expectedPath === undefined) throw new Error('usage: compare.ts MODEL EXPECTED');
const template = readFileSync(fileURLToPath(new URL('../chat-template.jinja', import.meta.url)), 'utf8');
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 1024, sequences: 1, threads: 1 });
const sequence = context.getSequence();
const prompts = openPromptRenderer(model, template);

const count = { tokenised: 0, tokenisedEqual: 0, answered: 0, answeredEqual: 0, tokens: 0, tokensEqual: 0 };
const same = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();

for (const line of readFileSync(expectedPath, 'utf8').trimEnd().split('\n')) {
  const expected = JSON.parse(line) as Expected;
  const ours =
    expected.text === undefined
      ? prompts.render([{ role: 'user', content: expected.question ?? '' }])
      : model.tokenize(expected.text, false);
  count.tokenised++;
  if (same(ours, expected.prompt ?? expected.tokens)) count.tokenisedEqual++;
  else
    console.log('tokens differ', {
      expected: expected.prompt ?? expected.tokens,
      ours,
      text: expected.question ?? expected.text,
    });
  if (expected.prompt === undefined) continue;

  await sequence.clearHistory();
  const said: Token[] = [];
  for await (const token of sequence.evaluate(ours, { temperature: 0, yieldEogToken: true })) {
    said.push(token);
    if (model.isEogToken(token) || said.length >= expected.tokens.length + 8) break;
  }
  count.answered++;
  if (same(said, expected.tokens)) count.answeredEqual++;
  else
    console.log('answers differ', {
      expected: model.detokenize(expected.tokens as Token[]),
      said: model.detokenize(said),
    });
  count.tokens += expected.tokens.length;
  count.tokensEqual += said.filter((token, i) => token === expected.tokens[i]).length;
}
console.log(count);
await llama.dispose();
if (count.tokenisedEqual < count.tokenised) process.exitCode = 1;
