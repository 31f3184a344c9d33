/** Opens the shipped files straight through node-llama-cpp, for the measurements that the product's engine does not offer. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  getLlama,
  type LlamaContext,
  type LlamaContextOptions,
  type LlamaContextSequence,
  type LlamaModel,
  type Token,
} from 'node-llama-cpp';
import { openPromptRenderer } from '#engine/child/prompt.llama.ts';

export const shipped = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

export interface Opened {
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  readonly sequence: LlamaContextSequence;
  prompt(question: string): Token[];
  /** What the model says when it always takes the likeliest token; with the token that ends it. */
  greedy(prompt: readonly Token[], most?: number): Promise<Token[]>;
}

export async function openShipped(modelPath: string, lora?: LlamaContextOptions['lora']): Promise<Opened> {
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 1024, sequences: 1, threads: 1, ...(lora && { lora }) });
  const sequence = context.getSequence();
  const prompts = openPromptRenderer(model, readFileSync(shipped('chat-template.jinja'), 'utf8'));
  return {
    model,
    context,
    sequence,
    prompt: (question) => prompts.render([{ role: 'user', content: question }]),
    async greedy(prompt, most = 256) {
      await sequence.clearHistory();
      const said: Token[] = [];
      for await (const token of sequence.evaluate([...prompt], { temperature: 0, yieldEogToken: true })) {
        said.push(token);
        if (model.isEogToken(token) || said.length >= most) break;
      }
      return said;
    },
  };
}

export function readLines<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

export const percent = (part: number, whole: number): number => Math.round((1000 * part) / whole) / 10;
