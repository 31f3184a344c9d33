/** C2SP tlog-tiles: where things lie, and how entries are bundled. */
export const TILE_WIDTH = 256;

/** `x001/x234/067`: three digits a folder, all but the last with an `x`. */
export function tileNumber(n: number): string {
  const digits = String(n).padStart(Math.ceil(String(n).length / 3) * 3, '0');
  return digits.replace(/\d{3}(?=\d)/g, 'x$&/');
}

/** Path of a tile or bundle; `width` below 256: a partial one. `level` in tiles, each eight levels of the tree. */
export const tilePath = (level: number | 'entries', n: number, width: number): string =>
  `tile/${level}/${tileNumber(n)}${width < TILE_WIDTH ? `.p/${width}` : ''}`;

/** How many hashes tile `n` of a level holds in a tree of `size`. */
export const tileWidth = (level: number, n: number, size: number): number =>
  Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH ** level) - n * TILE_WIDTH);

/** Big-endian uint16 length before each entry. @throws RangeError for an entry that it can't say the length of. */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.length > 0xffff) throw new RangeError('an entry bundle holds entries of 65,535 bytes at most');
    parts.push(Buffer.of(entry.length >> 8, entry.length & 0xff), entry);
  }
  return Buffer.concat(parts);
}

/** The entries, or null for bytes that are no bundle. */
export function decodeBundle(bytes: Uint8Array): Uint8Array[] | null {
  const entries: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [high, low] = [bytes[at], bytes[at + 1]];
    if (high === undefined || low === undefined) return null;
    const end = at + 2 + high * 256 + low;
    if (end > bytes.length) return null;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** A cell that no spreadsheet runs (it begins with an apostrophe where it would) and no comma splits. */
export function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return `"${harmless.replaceAll('"', '""')}"`;
}
