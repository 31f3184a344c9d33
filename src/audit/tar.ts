/** POSIX ustar (IEEE 1003.1, pax, "ustar Interchange Format"): as much of it as an archive of plain files needs. */
const BLOCK = 512;
/** An octal field of twelve bytes holds no more. */
const MOST_BYTES = 8 ** 11;

/** Header, bytes and padding of one file. `seconds`: its time since 1970. @throws RangeError for a name that needs more than ustar. */
export function tarEntry(name: string, bytes: Uint8Array, seconds: number): Buffer {
  if (!/^[\x21-\x7e]{1,99}$/.test(name) || bytes.length >= MOST_BYTES)
    throw new RangeError('this is no file for a tar');
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  header.write(name, 0, 'latin1');
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(bytes.length, 124, 12);
  octal(seconds, 136, 12);
  header.fill(' ', 148, 156);
  header.write('0', 156, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 'latin1');
  return Buffer.concat([header, bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

/** Two blocks of zeros: an archive without them was cut off. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);
