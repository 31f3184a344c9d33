/** A whole number of a switch; undefined where it was not given. @throws Error that names the switch */
export function wholeNumber(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Error(`--${name} takes a whole number`);
  return Number(text);
}
