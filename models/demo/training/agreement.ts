/**
 * How often the draft model says what the big one says: `node agreement.ts [--model F] [--draft F] [--prompts F] [--scores F]`.
 *
 * The big model answers every held-out prompt greedily; at each place of its answers the draft is asked for its likeliest
 * token after the same words. The share of equal places is what speculative decoding could accept at best. From the same
 * places follows how many of four drafted tokens in a row would stand, since a draft counts only up to its first mistake.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Token } from 'node-llama-cpp';
import { openShipped, percent, readLines, shipped } from './shipped.ts';

const AHEAD = 4;
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: shipped('demo.gguf') },
    draft: { type: 'string', default: shipped('draft.gguf') },
    prompts: { type: 'string', default: shipped('training/held-out.jsonl') },
    scores: { type: 'string' },
  },
});
const big = await openShipped(values.model);
const draft = await openShipped(values.draft);

/** The draft's likeliest token at each place of the answer, given the prompt and the answer so far. */
async function drafted(prompt: readonly Token[], answer: readonly Token[]): Promise<(Token | null | undefined)[]> {
  await draft.sequence.clearHistory();
  const from = prompt.length - 1;
  const all = [...prompt, ...answer.slice(0, -1)];
  const results = await draft.sequence.controlledEvaluate(
    all.map((token, i) => (i < from ? token : [token, { generateNext: { token: true, options: { temperature: 0 } } }])),
  );
  return results.slice(from).map((result) => result?.next.token);
}

let places = 0;
let equal = 0;
let rounds = 0;
let accepted = 0;
for (const { question } of readLines<{ question: string }>(values.prompts)) {
  const prompt = big.prompt(question);
  const answer = await big.greedy(prompt);
  const guess = await drafted(prompt, answer);
  const same = answer.map((token, i) => guess[i] === token);
  places += same.length;
  equal += same.filter(Boolean).length;
  // Rounds of speculative decoding: up to AHEAD tokens are drafted, the first wrong one is replaced by the big model's.
  for (let at = 0; at < same.length; rounds++) {
    const wrong = same.slice(at, at + AHEAD).indexOf(false);
    const kept = wrong === -1 ? Math.min(AHEAD, same.length - at) : wrong;
    accepted += kept;
    at += kept + 1;
  }
}
const scores = {
  places,
  greedyAgreement: percent(equal, places),
  draftedAhead: AHEAD,
  acceptedPerRound: Math.round((100 * accepted) / rounds) / 100,
};
console.log(scores);
if (values.scores !== undefined) writeFileSync(values.scores, `${JSON.stringify(scores, null, 2)}\n`);
process.exit();
