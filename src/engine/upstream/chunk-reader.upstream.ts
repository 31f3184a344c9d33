import { readChunk, type UpstreamPiece } from './completion.contract.ts';

/** What a JSON string can't hold as it is. */
const ESCAPED = /["\\\p{Cc}]/u;
/** So many beginnings in vain: this server's chunks differ in more than their text. */
const MOST_IN_VAIN = 4;

interface Like {
  readonly piece: UpstreamPiece;
  readonly before: string;
  readonly after: string;
}

/** Null where it begins or ends otherwise, or its text is not written as it is. */
function textBetween({ before, after }: Like, chunk: string): string | null {
  const end = chunk.length - after.length;
  // Equality is compared by words, `startsWith` by characters: four times as dear as all the rest.
  if (end < before.length || chunk.slice(0, before.length) !== before || chunk.slice(end) !== after) return null;
  const text = chunk.slice(before.length, end);
  return ESCAPED.test(text) ? null : text;
}

/**
 * Reads the chunks of one stream. Most differ from the one before in their text alone: what stands before and after it is
 * remembered, and of a chunk that begins and ends alike only the text is read.
 */
export class ChunkReader {
  /** What the last chunk that was parsed says, and all of it but its text. */
  #like: Like | null = null;
  #isLiked = true;
  #inVain = 0;

  /** @returns null for anything that is not a chunk, and for a chunk that reports an error */
  read(chunk: string): UpstreamPiece | null {
    const text = this.#like === null ? null : textBetween(this.#like, chunk);
    if (this.#like !== null && text !== null) {
      this.#isLiked = true;
      const { finishReason, usage, model, thought, logprobs, calls } = this.#like.piece;
      return { text, finishReason, usage, model, thought, logprobs, calls };
    }
    const piece = readChunk(chunk);
    if (piece !== null && piece.text !== '' && this.#inVain < MOST_IN_VAIN) this.#learn(chunk, piece);
    return piece;
  }

  /**
   * Where the text stands is found by trial: with another one put in its place the chunk has to say just that. It then is a
   * whole string of the JSON, and no other text without quotes and escapes changes anything but itself.
   */
  #learn(chunk: string, piece: UpstreamPiece): void {
    this.#inVain = this.#isLiked ? 0 : this.#inVain + 1;
    this.#isLiked = false;
    this.#like = null;
    const { text } = piece;
    const at = chunk.lastIndexOf(`"${text}"`) + 1;
    if (at === 0 || ESCAPED.test(text)) return;
    const [before, after] = [chunk.slice(0, at), chunk.slice(at + text.length)];
    const other = `${text}.`;
    if (readChunk(before + other + after)?.text === other) this.#like = { piece, before, after };
  }
}
