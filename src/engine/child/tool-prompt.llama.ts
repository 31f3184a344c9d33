import { Template } from '@huggingface/jinja';
import {
  type LlamaModel,
  LlamaText,
  SpecialToken,
  SpecialTokensText,
  type Token,
  type Tokenizer,
} from 'node-llama-cpp';
import type { ChatMessage, FunctionTool, ToolCall } from '#engine/engine.ts';
import { type CallSyntax, callSyntaxOf } from '#engine/grammar/call-syntax.ts';
import { Refusal } from '#engine/refusal.ts';

/** Renders conversations by the template alone, also those in which functions are called or offered. */
export interface ToolPrompts {
  /** How calls are written. @throws Refusal where the template can't write any */
  readonly syntax: CallSyntax;
  /** As `PromptRenderer.render`. @throws Refusal, or Error from the template */
  render(messages: readonly ChatMessage[], functions: readonly FunctionTool[]): Token[];
}

/** Ids of which every template takes the form; the caller's own are for him to match calls and results by. */
const idOf = (place: number): string => `call${String(place).padStart(5, '0')}`;

/**
 * The pinned template again, this time with its own way to show functions. What the caller says is rendered as marks and
 * put in afterwards as plain text, so that no control token comes of it; of functions and arguments, which templates
 * write as JSON, only texts that spell one.
 */
export function openToolPrompts(model: LlamaModel, tokenizer: Tokenizer, chatTemplate: string): ToolPrompts {
  let template: Template | undefined;
  let found: CallSyntax | null | undefined;
  const fill = (input: Record<string, unknown>): string => {
    template ??= new Template(chatTemplate);
    return template.render(input);
  };

  const syntaxOf = (): CallSyntax => {
    if (found === undefined) found = callSyntaxOf((input) => fill({ ...input, bos_token: '', eos_token: '' }));
    if (found === null) throw new Refusal('invalid_parameter', "This model's chat template can't call tools.", 'tools');
    return found;
  };

  return {
    get syntax() {
      return syntaxOf();
    },
    render(messages, functions) {
      // Whoever offers or made no calls needs no way to write them.
      const isPlain =
        functions.length === 0 && messages.every((one) => one.role !== 'tool' && one.tool_calls === undefined);
      const argumentsAs = isPlain ? null : syntaxOf().argumentsAs;
      const marks = new Marks(tokenizer, JSON.stringify([chatTemplate, messages, functions]));
      const places = new Map<string, { readonly id: string; readonly name: string }>();
      const callIn = ({ id, function: { name, arguments: text } }: ToolCall) => {
        places.set(id, { id: idOf(places.size + 1), name });
        const values = argumentsAs === 'object' ? marks.guard(JSON.parse(text)) : marks.guard(text);
        return { id: places.get(id)?.id, type: 'function', function: { name, arguments: values } };
      };
      const rendered = fill({
        messages: messages.map(({ role, content, tool_calls: calls, tool_call_id: answered = '' }) => ({
          role,
          content: content === '' ? '' : marks.put(content),
          ...(calls === undefined ? {} : { tool_calls: calls.map(callIn) }),
          ...(role === 'tool' ? { tool_call_id: places.get(answered)?.id, name: places.get(answered)?.name } : {}),
        })),
        ...(functions.length === 0
          ? {}
          : {
              tools: functions.map(({ name, description, parameters }) => ({
                type: 'function',
                function: marks.guard({ name, description, parameters }),
              })),
            }),
        add_generation_prompt: true,
        bos_token: marks.control('BOS'),
        eos_token: marks.control('EOS'),
      });
      const tokens = marks.revive(rendered).tokenize(tokenizer);
      const { bos, shouldPrependBosToken } = model.tokens;
      if (shouldPrependBosToken && bos !== null && tokens[0] !== bos) tokens.unshift(bos);
      return tokens;
    },
  };
}

/** Stand-ins for texts while a template is rendered: letters and digits alone, which no filter or JSON changes. */
class Marks {
  readonly #tokenizer: Tokenizer;
  readonly #stem: string;
  readonly #texts: (string | SpecialToken)[] = [];

  constructor(tokenizer: Tokenizer, beside: string) {
    this.#tokenizer = tokenizer;
    let stem = 'zqm';
    while (beside.includes(stem)) stem += 'q';
    this.#stem = stem;
  }

  put(text: string | SpecialToken): string {
    return `${this.#stem}${this.#texts.push(text) - 1}z`;
  }

  control(name: 'BOS' | 'EOS'): string {
    return this.put(new SpecialToken(name));
  }

  /** The same value, in which a text that spells a control token is a mark. */
  guard(value: unknown): unknown {
    if (typeof value === 'string') return this.#spellsControl(value) ? this.put(value) : value;
    if (Array.isArray(value)) return value.map((one) => this.guard(one));
    if (typeof value !== 'object' || value === null) return value;
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return Object.fromEntries(members.map(([name, member]) => [this.guard(name), this.guard(member)]));
  }

  #spellsControl(text: string): boolean {
    return this.#tokenizer(text, true).some((token) => this.#tokenizer.isSpecialToken(token));
  }

  /** @throws Error where the template has left out something of what was said */
  revive(rendered: string): LlamaText {
    const pattern = new RegExp(`${this.#stem}(\\d+)z`, 'g');
    const parts: (string | SpecialToken | SpecialTokensText)[] = [];
    const left = new Set(this.#texts.keys().filter((at) => typeof this.#texts[at] === 'string'));
    let end = 0;
    for (const match of rendered.matchAll(pattern)) {
      parts.push(new SpecialTokensText(rendered.slice(end, match.index)));
      end = match.index + match[0].length;
      const text = this.#texts[Number(match[1])] ?? '';
      left.delete(Number(match[1]));
      // Between quotes it stands in JSON that the template has written.
      const isQuoted = rendered[match.index - 1] === '"' && rendered[end] === '"';
      parts.push(typeof text === 'string' && isQuoted ? JSON.stringify(text).slice(1, -1) : text);
    }
    parts.push(new SpecialTokensText(rendered.slice(end)));
    if (left.size > 0) throw new Error('the template leaves out what was said');
    return LlamaText(parts);
  }
}
