/** How families of models write down what they think before they answer. */
export const THOUGHT = { opening: '<think>', closing: '</think>' } as const;

/** Whether a chat template, or the end of a prompt, says that the model thinks aloud; and that it has begun to. */
export const thinksBy = (chatTemplate: string): boolean => chatTemplate.includes(THOUGHT.closing);
export const opensThought = (promptEnd: string): boolean => promptEnd.trimEnd().endsWith(THOUGHT.opening);

export interface ReadThought {
  /** Of the answer. */
  readonly text: string;
  readonly thought: string;
}

/** It may begin with a thought; thinks; has thought, and only blanks came since; or answers. */
export type Phase = 'beginning' | 'thinking' | 'between' | 'answering';

/**
 * Reads an answer as it comes and tells what is thought from what is said: a thought that the prompt has opened, or that
 * the answer begins with, up to its closing. Blanks at the borders belong to neither. Later ones are text.
 */
export class ThoughtReader {
  #state: Phase;
  #held = '';
  #consumed = 0;
  /** UTF-16 units that came and are no text of the answer. */
  skipped = 0;
  #hasThought = false;

  constructor(isOpen: boolean) {
    this.#state = isOpen ? 'thinking' : 'beginning';
  }

  /** What the last piece ended in. */
  get phase(): Phase {
    return this.#state;
  }

  push(piece: string): ReadThought {
    this.#consumed += piece.length;
    if (this.#state === 'answering') return { text: piece, thought: '' };
    this.#held += piece;
    if (this.#state === 'beginning') this.#begin();
    const thought = this.#state === 'thinking' ? this.#think() : '';
    if (this.#state === 'between') {
      this.#held = this.#held.trimStart();
      if (this.#held !== '') this.#state = 'answering';
    }
    return { text: this.#state === 'answering' ? this.#release() : '', thought };
  }

  /** At the end of the answer: what was held back, as what it then is. A thought may have no end. */
  end(): ReadThought {
    const rest = this.#held;
    const state = this.#state;
    this.#held = '';
    this.#state = 'answering';
    if (state === 'beginning') return { text: rest, thought: '' };
    return { text: '', thought: state === 'thinking' ? this.#shown(rest.trimEnd()) : '' };
  }

  #begin(): void {
    const text = this.#held.trimStart();
    if (text.startsWith(THOUGHT.opening)) {
      this.#held = text.slice(THOUGHT.opening.length);
      this.#state = 'thinking';
    } else if (!THOUGHT.opening.startsWith(text)) this.#state = 'answering';
  }

  #think(): string {
    const at = this.#held.indexOf(THOUGHT.closing);
    if (at >= 0) {
      const thought = this.#held.slice(0, at).trimEnd();
      this.#held = this.#held.slice(at + THOUGHT.closing.length);
      this.#state = 'between';
      return this.#shown(thought);
    }
    const thought = this.#held.slice(0, this.#held.length - this.#possibleEnd());
    this.#held = this.#held.slice(thought.length);
    return this.#shown(thought);
  }

  /** Length of the end that may be the closing's beginning, with the blanks in front of it. */
  #possibleEnd(): number {
    let length = Math.min(THOUGHT.closing.length - 1, this.#held.length);
    while (length > 0 && !THOUGHT.closing.startsWith(this.#held.slice(-length))) length--;
    return this.#held.length - this.#held.slice(0, this.#held.length - length).trimEnd().length;
  }

  #shown(thought: string): string {
    const shown = this.#hasThought ? thought : thought.trimStart();
    this.#hasThought ||= shown !== '';
    return shown;
  }

  #release(): string {
    const text = this.#held;
    this.#held = '';
    this.skipped = this.#consumed - text.length;
    return text;
  }
}
