import {
  type BuiltinSpecialTokenValue,
  type LlamaModel,
  LlamaVocabularyType,
  type Token,
  type Tokenizer,
} from 'node-llama-cpp';
import { Refusal } from '#engine/refusal.ts';
import { piecesOf } from './text-pieces.ts';

/**
 * llama.cpp cuts a text into words by regular expressions of which many, those of GPT-4o, Llama 4, Mistral and DeepSeek among them, are
 * matched by recursion: a run of 32,000 letters or signs ends the process. No match is longer than the text, so that is given in pieces.
 */
const MOST = 4096;
/** No control token is spelt longer. */
const LONGEST_MARK = 128;

/** A text of so many contexts is not counted to its end: meanwhile nobody is answered. */
const CONTEXTS = 4;

/**
 * The model's tokenizer, for texts of any length. @param contextSize beyond a multiple of which it counts no further, and throws a
 * Refusal; absent: it counts all
 */
export function tokenizerOf(model: LlamaModel, contextSize = Number.POSITIVE_INFINITY): Tokenizer {
  const plain = model.tokenizer;
  // Others know no such words.
  if (model.vocabularyType !== LlamaVocabularyType.bpe) return plain;
  const tokenize = (text: string, special?: boolean | 'builtin', options?: 'trimLeadingSpace'): Token[] => {
    if (special === 'builtin') return plain(text as BuiltinSpecialTokenValue, special);
    if (text.length <= MOST) return plain(text, special, options);
    const isMark = (at: number) =>
      plain(text.slice(Math.max(0, at - LONGEST_MARK), at + LONGEST_MARK), true).some((token) =>
        model.isSpecialToken(token),
      );
    const [first = '', ...others] = piecesOf(text, MOST, (at) => special !== true || !isMark(at));
    const tokens: Token[] = plain(first, special, options);
    for (const piece of others) {
      if (tokens.length > CONTEXTS * contextSize) throw tooLong(tokens.length, contextSize);
      for (const token of plain(piece, special)) tokens.push(token);
    }
    return tokens;
  };
  const { detokenize, isSpecialToken, isEogToken } = plain;
  return Object.assign(tokenize, { detokenize, isSpecialToken, isEogToken });
}

const tooLong = (tokens: number, contextSize: number) =>
  new Refusal(
    'context_length_exceeded',
    `The prompt has at least ${tokens} tokens; this model's context holds ${contextSize}, the answer included.`,
  );
