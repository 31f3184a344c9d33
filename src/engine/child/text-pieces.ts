/** A word, or a number, ends: so it does for every tokenizer, whatever comes next. */
const ENDS = /[\p{L}\p{N}](?=[^\p{L}\p{M}\p{N}'’])/gu;
/** The same, with a blank behind it: what all of them take for the beginning of something else. */
const BLANKS = /[\p{L}\p{N}](?=\s)/gu;
/** So far back from the longest piece there is an end to be looked for. */
const LOOK_BACK = 1024;

/**
 * A text in pieces of at most `most` UTF-16 units, cut where a word ends if there is such a place, and never inside a character. The same
 * beginning is cut at the same places, so that what was computed of it can be found again. @param mayCut false where a piece
 * must not end
 */
export function piecesOf(text: string, most: number, mayCut: (at: number) => boolean = () => true): string[] {
  const pieces: string[] = [];
  let start = 0;
  while (text.length - start > most) {
    const end = cutOf(text, start, start + most, mayCut);
    pieces.push(text.slice(start, end));
    start = end;
  }
  pieces.push(text.slice(start));
  return pieces;
}

function cutOf(text: string, start: number, end: number, mayCut: (at: number) => boolean): number {
  const from = Math.max(start, end - LOOK_BACK);
  // What follows the last place that may be cut is looked at too.
  const part = text.slice(from, end + 1);
  for (const places of [BLANKS, ENDS]) {
    const found = [...part.matchAll(places)].map(({ index, 0: { length } }) => from + index + length);
    const at = found.findLast((place) => place <= end && place > start && mayCut(place));
    if (at !== undefined) return at;
  }
  for (let at = end; at > from; at--) if (!isInCharacter(text, at) && mayCut(at)) return at;
  return isInCharacter(text, end) ? end - 1 : end;
}

/** Between the halves of a character that has two. */
const isInCharacter = (text: string, at: number): boolean => {
  const code = text.codePointAt(at - 1) ?? 0;
  return code > 0xffff;
};
