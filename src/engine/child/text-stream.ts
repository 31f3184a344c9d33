/** What one more token (or the end) allows to be shown. */
export interface TextPiece {
  /** Whole Unicode characters, free of any stop text; may be empty. */
  readonly text: string;
  /** A stop text was found; nothing may follow. */
  readonly stopped: boolean;
}

/** Turns tokens into text; may yield U+FFFD where a character's bytes are still incomplete. */
export type Detokenize = (tokens: readonly number[], before: readonly number[]) => string;

const REPLACEMENT = '\ufffd';
/** Bytes that are no UTF-8 though they look like one character's: shown as one, as llama.cpp's grammars count them. */
const BROKEN = /\ufffd{2,}/g;
/** A character has at most 4 bytes, and a token at least one; after that many the bytes are simply not UTF-8. */
const MOST_TOKENS_PER_CHARACTER = 4;
/** Some tokenizers need to see what came before to decide on a leading space. */
const CONTEXT_TOKENS = 6;

/**
 * Joins tokens to text so that no character is ever cut: where a token ends inside a UTF-8 sequence, that character waits for the
 * rest, which the next token may go on beyond.
 */
export class CharacterJoiner {
  readonly #detokenize: Detokenize;
  #before: number[];
  #pending: number[] = [];
  /** So much of their text has been shown. */
  #shown = 0;
  /** So many of them have gone by since a character was whole. */
  #waited = 0;

  constructor(detokenize: Detokenize, before: readonly number[] = []) {
    this.#detokenize = detokenize;
    this.#before = before.slice(-CONTEXT_TOKENS);
  }

  push(token: number): string {
    this.#pending.push(token);
    const text = this.#text();
    if (!text.endsWith(REPLACEMENT)) return this.#settle(text);
    const whole = text.slice(this.#shown, -1);
    this.#shown += whole.length;
    this.#waited = whole === '' ? this.#waited + 1 : 1;
    return this.#waited < MOST_TOKENS_PER_CHARACTER ? whole : whole + this.#settle(text);
  }

  /** What is left at the end, complete or not. */
  flush(): string {
    return this.#pending.length === 0 ? '' : this.#settle(this.#text());
  }

  #text(): string {
    return this.#detokenize(this.#pending, this.#before).replace(BROKEN, REPLACEMENT);
  }

  #settle(text: string): string {
    const rest = text.slice(this.#shown);
    this.#before = [...this.#before, ...this.#pending].slice(-CONTEXT_TOKENS);
    this.#pending = [];
    this.#shown = this.#waited = 0;
    return rest;
  }
}

/**
 * Ends a text at the first stop text, wherever the borders between its pieces lie. Text that could still turn out to be
 * the beginning of a stop text is held back, so that no part of one is ever shown.
 */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  push(text: string): TextPiece {
    if (this.#stops.length === 0) return { text, stopped: false };
    const all = this.#held + text;
    const at = this.#firstStop(all);
    if (at >= 0) {
      this.#held = '';
      return { text: all.slice(0, at), stopped: true };
    }
    const keep = this.#possibleBeginning(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stopped: false };
  }

  /** What was held back and turned out to be plain text. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  #firstStop(text: string): number {
    let first = -1;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at >= 0 && (first < 0 || at < first)) first = at;
    }
    return first;
  }

  /** Length of the longest end of `text` that begins some stop text. */
  #possibleBeginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}

/** Tokens in, showable text out: {@link CharacterJoiner} and {@link StopFilter} in a row. */
export class TextStream {
  readonly #joiner: CharacterJoiner;
  readonly #filter: StopFilter;
  /** UTF-16 units so far, those held back included. */
  length = 0;

  constructor(detokenize: Detokenize, stops: readonly string[], before: readonly number[] = []) {
    this.#joiner = new CharacterJoiner(detokenize, before);
    this.#filter = new StopFilter(stops);
  }

  push(token: number): TextPiece {
    const text = this.#joiner.push(token);
    this.length += text.length;
    return text === '' ? { text, stopped: false } : this.#filter.push(text);
  }

  /** At the end of the generation: whatever was held back. */
  end(): TextPiece {
    const last = this.#filter.push(this.#joiner.flush());
    return last.stopped ? last : { text: last.text + this.#filter.flush(), stopped: false };
  }
}
