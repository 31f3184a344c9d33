import type { CallPiece } from '#engine/grammar/call-reader.ts';
import type { Phase, ThoughtReader } from '#engine/thought-reader.ts';
import type { Calling } from './calling.llama.ts';
import { StopFilter, type TextPiece } from './text-stream.ts';

/** What is to be shown of an answer. */
export interface Said {
  readonly text: string;
  readonly thought: string;
  readonly calls: readonly CallPiece[];
}

/** What an answer's text turns out to be: calls, thoughts, and what is said. Collects it until it is taken. */
export class Speech {
  readonly #calling: Calling | null;
  readonly #thoughts: ThoughtReader | null;
  /** Of a model that thinks: stop texts end what is said, not a thought. Else they were looked for before. */
  readonly #filter: StopFilter;
  #text = '';
  #thought = '';
  #calls: CallPiece[] = [];
  /** The whole text, where `keeps`: it is held against a schema in the end. */
  whole = '';
  readonly #keeps: boolean;

  constructor(calling: Calling | null, thoughts: ThoughtReader | null, stop: readonly string[], keeps: boolean) {
    this.#calling = calling;
    this.#thoughts = thoughts;
    this.#filter = new StopFilter(thoughts === null ? [] : stop);
    this.#keeps = keeps;
  }

  /** @returns true where a stop text ends the answer */
  push(piece: TextPiece): boolean {
    const read = this.#calling?.read(piece.text);
    this.#calls.push(...(read?.calls ?? []));
    const isStopped = this.#hear(read?.text ?? piece.text);
    return isStopped || (read?.stopped ?? piece.stopped);
  }

  /** The last piece, and what was held back. */
  end(piece: TextPiece): boolean {
    if (this.push(piece)) return true;
    const rest = this.#calling?.end();
    if (this.#hear(rest?.text ?? '')) return true;
    const last = this.#thoughts?.end();
    this.#thought += last?.thought ?? '';
    const said = this.#filter.push(last?.text ?? '');
    this.#say(said.stopped ? said.text : said.text + this.#filter.flush());
    return said.stopped || (rest?.stopped ?? false);
  }

  get phase(): Phase {
    return this.#thoughts?.phase ?? 'answering';
  }

  /** Of the whole answer as it came, what is not said. */
  get skipped(): number {
    return this.#thoughts?.skipped ?? 0;
  }

  get isEmpty(): boolean {
    return this.#text === '' && this.#thought === '' && this.#calls.length === 0;
  }

  take(): Said {
    const said = { text: this.#text, thought: this.#thought, calls: this.#calls };
    this.#text = '';
    this.#thought = '';
    this.#calls = [];
    return said;
  }

  #hear(piece: string): boolean {
    const { text, thought } = this.#thoughts?.push(piece) ?? { text: piece, thought: '' };
    this.#thought += thought;
    const said = this.#filter.push(text);
    this.#say(said.text);
    return said.stopped;
  }

  #say(text: string): void {
    this.#text += text;
    if (this.#keeps) this.whole += text;
  }
}
