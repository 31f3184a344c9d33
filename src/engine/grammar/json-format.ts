import { refuse } from './json-schema.ts';

const TWO = '[0-5] [0-9]';
const HOUR = '("0" [0-9] | "1" [0-9] | "2" [0-3])';
/** Every day but the 29th of February. */
const DAY_OF_YEAR = [
  '("0" [13578] | "1" [02]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])',
  '("0" [469] | "11") "-" ("0" [1-9] | [12] [0-9] | "30")',
  '"02-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
].join(' | ');
const DATE = `[1-9] [0-9]{3} "-" (${DAY_OF_YEAR})`;
const TIME = `${HOUR} ":" ${TWO} ":" ${TWO} ("." [0-9]{1,6})? ("Z" | [+-] ${HOUR} ":" ${TWO})`;
const OCTET = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9] [0-9] | [0-9])';
const LABEL = '[a-z0-9] [a-z0-9]{0,30}';
const HOST = `${LABEL} ("." ${LABEL}){1,4}`;

/** The characters between the quotes; some of what the format allows, and nothing else. */
const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE} "T" ${TIME}`,
  uuid: '[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}',
  ipv4: `${OCTET} ("." ${OCTET}){3}`,
  email: `[A-Za-z0-9] [A-Za-z0-9_+-]{0,20} ("." [A-Za-z0-9_+-]{1,15}){0,2} "@" ${HOST}`,
  hostname: HOST,
  uri: `"https://" ${HOST} ("/" [A-Za-z0-9._~-]{0,60}){0,8}`,
};

export function formatCharacters(format: unknown): string {
  if (typeof format !== 'string' || !Object.hasOwn(FORMATS, format))
    throw refuse('format', `'${format}' is not supported`);
  return FORMATS[format] as string;
}
