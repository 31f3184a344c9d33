import { type ChatHistoryItem, JinjaTemplateChatWrapper, type LlamaModel, type Token } from 'node-llama-cpp';
import type { ChatMessage } from '#engine/engine.ts';
import type { GenerateMessage } from './protocol.contract.ts';
import { openToolPrompts, type ToolPrompts } from './tool-prompt.llama.ts';

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
  /** Besides the model's own end tokens: control tokens that end a turn in this template. */
  readonly endTokens: ReadonlySet<Token>;
}

/**
 * The template comes from the catalogue, not from the model file. It is interpreted as a syntax tree, without reach into
 * JavaScript, but without a step limit either: this runs in the child only, under the parent's kill timer.
 */
export function openPromptRenderer(model: LlamaModel, chatTemplate: string): PromptRenderer {
  const wrapper = new JinjaTemplateChatWrapper({
    template: chatTemplate,
    functionCallMessageTemplate: 'noJinja',
    joinAdjacentMessagesOfTheSameType: false,
    reasoning: null,
    tokenizer: model.tokenizer,
  });
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

  const render = (messages: readonly ChatMessage[]) => begun(state(messages).contextText.tokenize(model.tokenizer));

  return {
    endTokens,
    tools: openToolPrompts(model, chatTemplate),
    tokenize: (text) => begun(model.tokenize(text, false)),
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

/** A prompt as it stands, a conversation, or one in which functions are called or offered. */
export function promptOf({ messages, prompt, tools }: GenerateMessage, prompts: PromptRenderer): Token[] {
  if (prompt !== undefined) return prompts.tokenize(prompt);
  const calls = tools !== undefined || messages.some((one) => one.role === 'tool' || one.tool_calls !== undefined);
  return calls ? prompts.tools.render(messages, tools?.functions ?? []) : prompts.render(messages);
}
