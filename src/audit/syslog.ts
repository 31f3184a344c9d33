import type { WholeRow } from './export-lines.ts';

/** RFC 5424, section 6.2.1: facility 13, "log audit". */
const FACILITY = 13;
const [WARNING, NOTICE, INFORMATIONAL] = [4, 5, 6];
/** RFC 5612: the enterprise number for those who have none. Receivers know the element by its name. */
const ELEMENT = 'strongroom@32473';
const BOM = '\ufeff';

/** One record as a message of RFC 5424: searchable columns as structured data, the hashed record itself as its text. */
export function syslogMessage(row: WholeRow, hostname: string): Buffer {
  const { columns, seq, leaf, record } = row;
  if (columns === null) throw new TypeError('a record without its columns is no message');
  const { at, kind, actor, action, resource, outcome, request_id: request } = columns;
  const parameters = {
    seq: String(seq),
    leaf: leaf === null ? '' : Buffer.from(leaf).toString('hex'),
    actor,
    action,
    resource,
    outcome,
    ...(request === null ? {} : { request }),
  };
  const data = Object.entries(parameters).map(([name, value]) => ` ${name}="${escaped(value)}"`);
  const head = `<${FACILITY * 8 + severityOf(kind, outcome)}>1 ${at} ${printable(hostname, 255)} strongroom - ${printable(kind, 32)}`;
  return Buffer.from(`${head} [${ELEMENT}${data.join('')}] ${BOM}${record}`);
}

/** RFC 5425, section 4.3: the length in bytes, a space, the message. */
export const framed = (message: Buffer): Buffer => Buffer.concat([Buffer.from(`${message.length} `), message]);

function severityOf(kind: string, outcome: string): number {
  if (kind === 'denial' || kind === 'refusals' || /^(denied|refused|failed|unknown|late_outcome)$/.test(outcome)) {
    return WARNING;
  }
  return kind === 'change' ? NOTICE : INFORMATIONAL;
}

/** Section 6.3.3: a quote, a backslash and a closing bracket are escaped; nothing else is. */
const escaped = (value: string): string => value.replaceAll(/["\\\]]/g, '\\$&');

/** PRINTUSASCII, or the nil value where nothing is left. */
const printable = (text: string, most: number): string => text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, most) || '-';
