import {
  type BuiltinSpecialTokenValue,
  type LlamaModel,
  LlamaVocabularyType,
  type Token,
  type Tokenizer,
} from 'node-llama-cpp';
import { piecesOf } from './text-pieces.ts';

/**
 * llama.cpp cuts a text into words by regular expressions of which many, those of GPT-4o, Llama 4, Mistral and DeepSeek among them, are
 * matched by recursion: a run of 32,000 letters or signs ends the process. No match is longer than the text, so that is given in pieces.
 */
const MOST = 4096;
/** No control token is spelt longer. */
const LONGEST_MARK = 128;

/** The model's tokenizer, for texts of any length. */
export function tokenizerOf(model: LlamaModel): Tokenizer {
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
    for (const piece of others) for (const token of plain(piece, special)) tokens.push(token);
    return tokens;
  };
  const { detokenize, isSpecialToken, isEogToken } = plain;
  return Object.assign(tokenize, { detokenize, isSpecialToken, isEogToken });
}
