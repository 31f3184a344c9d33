import { ParameterReader } from './call-parameters.ts';
import { type CallSyntax, triggerOf } from './call-syntax.ts';
import { JsonScanner } from './json-scanner.ts';

/** A piece of a call, in OpenAI's order: the first one of each has id and name. */
export interface CallPiece {
  readonly index: number;
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  readonly arguments: string;
}

export interface ReadPiece {
  readonly text: string;
  readonly calls: readonly CallPiece[];
}

/** Reads an answer as it comes: text, and from the template's opening on calls. What was sampled obeys our grammar. */
export class CallReader {
  readonly #syntax: CallSyntax;
  readonly #trigger: string;
  readonly #newId: () => string;
  readonly #isText: (name: string, key: string) => boolean;
  #state: 'text' | 'opening' | 'name' | 'arguments' | 'after' = 'text';
  #held = '';
  #calls = 0;
  #scanner = new JsonScanner();
  /** Where the template writes arguments one by one. */
  #parameters: ParameterReader | null = null;

  /** @param isText which arguments are written as they are, where they are written one by one */
  constructor(syntax: CallSyntax, newId: () => string, isText: (name: string, key: string) => boolean = () => true) {
    this.#syntax = syntax;
    this.#trigger = triggerOf(syntax);
    this.#newId = newId;
    this.#isText = isText;
  }

  /** Calls so far, begun ones included. */
  get calls(): number {
    return this.#calls;
  }

  /** True while what comes is neither a call nor may become one. */
  get isText(): boolean {
    return this.#state === 'text' && this.#held.trim() === '';
  }

  /** @throws Error for calls that are not written as the template writes them */
  push(piece: string): ReadPiece {
    this.#held += piece;
    const calls: CallPiece[] = [];
    const text = this.#state === 'text' ? this.#readText() : '';
    while (this.#step(calls));
    return { text, calls };
  }

  /** At the end of the answer: what was held back and is text after all. */
  end(): string {
    const rest = this.#state === 'text' ? this.#held : '';
    this.#held = '';
    return rest;
  }

  #readText(): string {
    const at = this.#held.indexOf(this.#trigger);
    if (at >= 0) {
      const text = this.#held.slice(0, at).trimEnd();
      this.#held = this.#held.slice(at);
      this.#state = 'opening';
      return text;
    }
    const keep = this.#possibleBeginning();
    const text = this.#held.slice(0, this.#held.length - keep);
    this.#held = this.#held.slice(text.length);
    return text;
  }

  /** Length of the end that may be a trigger's beginning, with the blanks in front, which would be the template's. */
  #possibleBeginning(): number {
    let length = Math.min(this.#trigger.length - 1, this.#held.length);
    while (length > 0 && !this.#trigger.startsWith(this.#held.slice(-length))) length--;
    return this.#held.length - this.#held.slice(0, this.#held.length - length).trimEnd().length;
  }

  #step(calls: CallPiece[]): boolean {
    switch (this.#state) {
      case 'text':
        return false;
      case 'opening':
        return this.#expect(this.#syntax.opening.trimStart());
      case 'name': {
        const { middle, parameters } = this.#syntax;
        const at = parameters === undefined ? this.#held.indexOf(middle) : this.#held.search(/[^\w-]/);
        if (at < 0) return false;
        const name = this.#held.slice(0, at);
        if (parameters !== undefined)
          this.#parameters = new ParameterReader(parameters, (key) => this.#isText(name, key));
        calls.push({ index: this.#calls++, id: this.#newId(), name, arguments: '' });
        this.#held = this.#held.slice(at + middle.length);
        this.#scanner = new JsonScanner();
        this.#state = 'arguments';
        return true;
      }
      case 'arguments': {
        if (this.#parameters !== null) return this.#readParameters(this.#parameters, calls);
        const length = this.#scanner.push(this.#held);
        if (length > 0) calls.push({ index: this.#calls - 1, arguments: this.#held.slice(0, length) });
        this.#held = this.#held.slice(length);
        if (!this.#scanner.isDone) return false;
        this.#state = 'after';
        return true;
      }
      case 'after': {
        const { between, closing } = this.#syntax;
        if (between !== null && !closing.startsWith(this.#held.trimEnd())) return this.#expect(between);
        return false;
      }
    }
  }

  #readParameters(parameters: ParameterReader, calls: CallPiece[]): boolean {
    const { json, length } = parameters.push(this.#held);
    if (json !== '') calls.push({ index: this.#calls - 1, arguments: json });
    this.#held = this.#held.slice(length);
    if (!parameters.isDone) return false;
    this.#state = 'after';
    return true;
  }

  /** Takes a text that must come now, and then a name. */
  #expect(text: string): boolean {
    if (this.#held.length < text.length) {
      if (!text.startsWith(this.#held)) throw new Error('a call is not written as the template writes it');
      return false;
    }
    if (!this.#held.startsWith(text)) throw new Error('a call is not written as the template writes it');
    this.#held = this.#held.slice(text.length);
    this.#state = 'name';
    return true;
  }
}
