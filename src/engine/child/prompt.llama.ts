import { type ChatHistoryItem, JinjaTemplateChatWrapper, type LlamaModel, type Token } from 'node-llama-cpp';
import type { ChatMessage } from '#engine/engine.ts';
import type { GenerateMessage } from '#engine/llama/protocol.contract.ts';
import { opensThought, THOUGHT, thinksBy } from '#engine/thought-reader.ts';
import { tokenizerOf } from './tokenizer.llama.ts';
import { openToolPrompts, type ToolPrompts } from './tool-prompt.llama.ts';

/** So many tokens of a prompt's end hold what opens a thought, however it is cut into tokens. */
const END_TOKENS = 16;

export interface Thoughts {
  /** Whether a prompt has opened one, with which the answer then begins. */
  opensIn(prompt: readonly Token[]): boolean;
  /** What ends one that a prompt has just opened. */
  readonly end: readonly Token[];
  /** Control tokens that open and close one, where they are such. */
  readonly marks: ReadonlySet<Token>;
}

/** Renders conversations with the pinned template and turns them into tokens. Never shortens anything. */
export interface PromptRenderer {
  /** Text as it stands, without a template. User text never becomes a control token here either. */
  tokenize(text: string): Token[];
  /** User text never becomes a control token, whatever it spells (role injection). @throws Error from the template. */
  render(messages: readonly ChatMessage[]): Token[];
  /** What every conversation with this system prompt begins with, whatever is asked. */
  prefixOf(systemPrompt: string): readonly Token[];
  /** For conversations in which functions are called or offered. */
  readonly tools: ToolPrompts;
  /** How this template's model thinks aloud; null where it does not. */
  readonly thoughts: Thoughts | null;
  /** Besides the model's own end tokens: control tokens that end a turn in this template. */
  readonly endTokens: ReadonlySet<Token>;
}

/**
 * The template comes from the catalogue, not from the model file. It is interpreted as a syntax tree, without reach into
 * JavaScript, but without a step limit either: this runs in the child only, under the parent's kill timer.
 */
export function openPromptRenderer(model: LlamaModel, chatTemplate: string, contextSize?: number): PromptRenderer {
  const wrapper = new JinjaTemplateChatWrapper({
    template: chatTemplate,
    functionCallMessageTemplate: 'noJinja',
    joinAdjacentMessagesOfTheSameType: false,
    reasoning: null,
    tokenizer: model.tokenizer,
  });
  const tokenizer = tokenizerOf(model, contextSize);
  const bos = model.tokens.shouldPrependBosToken ? model.tokens.bos : null;

  const state = (messages: readonly ChatMessage[]) =>
    wrapper.generateContextState({ chatHistory: [...messages.map(historyItem), { type: 'model', response: [''] }] });

  const begun = (tokens: Token[]): Token[] => {
    if (bos !== null && tokens[0] !== bos) tokens.unshift(bos);
    return tokens;
  };

  const endTokens = new Set<Token>();
  for (const trigger of state([{ role: 'user', content: 'x' }]).stopGenerationTriggers) {
    const [first] = trigger.tokenize(model.tokenizer);
    if (first !== undefined && model.isSpecialToken(first)) endTokens.add(first);
  }

  const tools = openToolPrompts(model, tokenizer, chatTemplate);
  const thoughts = thinksBy(chatTemplate) ? thoughtsOf(model) : null;
  // The library's way takes what a template puts behind the last turn for part of an answer, and leaves it out: there a
  // thought is opened.
  const render = thoughts
    ? (messages: readonly ChatMessage[]) => tools.render(messages, [])
    : (messages: readonly ChatMessage[]) => begun(state(messages).contextText.tokenize(tokenizer));

  return {
    endTokens,
    tools,
    thoughts,
    tokenize: (text) => begun(tokenizer(text, false)),
    render,
    prefixOf(systemPrompt) {
      const [one = [], other = []] = ['x', '?'].map((content) =>
        render([
          { role: 'system', content: systemPrompt },
          { role: 'user', content },
        ]),
      );
      return one.slice(
        0,
        one.findIndex((token, at) => token !== other[at]),
      );
    },
  };
}

function thoughtsOf(model: LlamaModel): Thoughts {
  const marks = model.tokenize(`${THOUGHT.opening}${THOUGHT.closing}`, true);
  return {
    opensIn: (prompt) => opensThought(model.detokenize(prompt.slice(-END_TOKENS), true)),
    end: model.tokenize(`\n${THOUGHT.closing}\n\n`, true),
    marks: new Set(marks.filter((token) => model.isSpecialToken(token))),
  };
}

function historyItem(message: ChatMessage): ChatHistoryItem {
  switch (message.role) {
    case 'system':
      return { type: 'system', text: message.content };
    case 'user':
      return { type: 'user', text: message.content };
    case 'assistant':
      return { type: 'model', response: [message.content] };
    case 'tool':
      throw new Error('results of functions are rendered by ToolPrompts');
  }
}

/**
 * A prompt as it stands, a conversation, or one in which functions are called or offered. Where a grammar holds the answer
 * from its first token on, a thought would be spoken in it: it is ended before it begins.
 */
export function promptOf(request: GenerateMessage, prompts: PromptRenderer): Token[] {
  const tokens = renderedOf(request, prompts);
  const isHeld = request.grammar !== null || request.tools !== undefined;
  if (isHeld && request.prompt === undefined && prompts.thoughts?.opensIn(tokens)) tokens.push(...prompts.thoughts.end);
  return tokens;
}

function renderedOf({ messages, prompt, tools }: GenerateMessage, prompts: PromptRenderer): Token[] {
  if (prompt !== undefined) return prompts.tokenize(prompt);
  const calls = tools !== undefined || messages.some((one) => one.role === 'tool' || one.tool_calls !== undefined);
  return calls ? prompts.tools.render(messages, tools?.functions ?? []) : prompts.render(messages);
}
