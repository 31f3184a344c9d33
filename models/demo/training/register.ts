/**
 * What the adapter changes: `node register.ts [--model F] [--adapter F] [--prompts F] [--scores F]`.
 *
 * Held-out requests for a letter, answered greedily without and with the adapter; counted are the answers with a formal
 * salutation, with a formal close, and with both. Then every third of the other held-out prompts, e-mails left out, to see
 * what it costs there.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Opened, openShipped, percent, readLines, shipped } from './shipped.ts';

interface Prompt {
  readonly kind: string;
  readonly question: string;
  readonly keys: readonly (readonly string[])[];
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: shipped('demo.gguf') },
    adapter: { type: 'string', default: shipped('formal-letters.gguf') },
    prompts: { type: 'string', default: shipped('training/held-out-letters.jsonl') },
    others: { type: 'string', default: shipped('training/held-out.jsonl') },
    scores: { type: 'string' },
    show: { type: 'boolean', default: false },
  },
});
const letters = readLines<Prompt>(values.prompts);
const others = readLines<Prompt>(values.others)
  .filter(({ kind }) => kind !== 'email')
  .filter((_, i) => i % 3 === 0);

const told = (text: string, words: readonly string[] | undefined) =>
  words?.some((word) => text.toLowerCase().includes(word.toLowerCase())) === true;

async function measure(opened: Opened) {
  const answer = async ({ question }: Prompt) => {
    const said = await opened.greedy(opened.prompt(question));
    return opened.model.detokenize(said);
  };
  const count = { salutation: 0, close: 0, both: 0, othersOnSubject: 0 };
  for (const letter of letters) {
    const text = await answer(letter);
    if (values.show) console.log(`${letter.question}\n--\n${text}\n`);
    const [salutation, close] = [told(text, letter.keys[0]), told(text, letter.keys[1])];
    if (salutation) count.salutation++;
    if (close) count.close++;
    if (salutation && close) count.both++;
  }
  for (const prompt of others) {
    const text = await answer(prompt);
    if (prompt.keys.every((group) => told(text, group))) count.othersOnSubject++;
  }
  return {
    formalSalutation: percent(count.salutation, letters.length),
    formalClose: percent(count.close, letters.length),
    both: percent(count.both, letters.length),
    othersOnSubject: percent(count.othersOnSubject, others.length),
  };
}

const scores = {
  letters: letters.length,
  others: others.length,
  without: await measure(await openShipped(values.model)),
  with: await measure(await openShipped(values.model, { adapters: [{ filePath: values.adapter, scale: 1 }] })),
};
console.log(scores);
if (values.scores !== undefined) writeFileSync(values.scores, `${JSON.stringify(scores, null, 2)}\n`);
process.exit();
