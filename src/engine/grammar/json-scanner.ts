/** Finds the end of one JSON object or array in text that comes in pieces. Checks nothing else. */
export class JsonScanner {
  #depth = 0;
  #quoted = false;
  #escaped = false;
  isDone = false;

  /** @returns how much of the text belongs to the value */
  push(text: string): number {
    for (let at = 0; at < text.length; at++) {
      if (this.isDone) return at;
      this.#take(text[at] as string);
    }
    return text.length;
  }

  #take(character: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (this.#quoted) {
      if (character === '\\') this.#escaped = true;
      else if (character === '"') this.#quoted = false;
    } else if (character === '"') this.#quoted = true;
    else if (character === '{' || character === '[') this.#depth++;
    else if (character === '}' || character === ']') this.isDone = --this.#depth === 0;
  }
}
