/** A prompt that is being taken in, and how many of its tokens are left; in the order of their arrival. */
type Prompts<T> = readonly (readonly [prompt: T, left: number])[];
type Portions<T> = readonly (readonly [prompt: T, tokens: number])[];

/** Beside answers, which every step holds up: as much as there is room for, be it a piece of the last one. */
export function filled<T>(prompts: Prompts<T>, room: number): Portions<T> {
  const portions: [T, number][] = [];
  let free = room;
  for (const [prompt, left] of prompts) {
    if (free === 0) break;
    portions.push([prompt, Math.min(left, free)]);
    free -= Math.min(left, free);
  }
  return portions;
}

/** Matrices are multiplied in tiles: of 134 tokens each takes 5 to 8 % longer than of 128. */
const TILE = 32;

/**
 * Where nobody waits for the step's end: the first prompt, in few portions that are alike, or with the next ones where they are
 * whole. llama.cpp takes as many tokens of one sequence at a time as of another, so a piece of a second prompt makes two
 * passes through all weights of what would be one (254 M, q8_0, 128 tokens: 5.1 ms a token in whole prompts, 6.0 with 94
 * and a piece of the next).
 */
export function whole<T>([first, ...others]: Prompts<T>, room: number): Portions<T> {
  if (first === undefined) return [];
  const [prompt, left] = first;
  if (left > room) return [[prompt, even(left, room)]];
  const portions: [T, number][] = [[prompt, left]];
  let free = room - left;
  for (const [other, tokens] of others) {
    if (tokens > free) break;
    portions.push([other, tokens]);
    free -= tokens;
  }
  return portions;
}

function even(left: number, room: number): number {
  const portion = Math.ceil(left / Math.ceil(left / room));
  if (room < 2 * TILE) return portion;
  return TILE * Math.min(Math.ceil(portion / TILE), Math.floor(room / TILE));
}
