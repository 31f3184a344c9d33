/** Networks by name, as the configuration gives them: `{branch: ['10.1.0.0/16', 'fd00::/8']}`. */
export type NetworkZones = Readonly<Record<string, readonly string[]>>;

interface Network {
  readonly bits: bigint;
  readonly length: number;
}

/** 128 bits of an address; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2). Null for anything else. */
export function addressBits(text: string): bigint | null {
  const four = fourOf(text);
  if (four !== null) return (0xffffn << 32n) | four;
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text) || text.includes(':::')) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head, tail] = [groupsOf(halves[0] ?? ''), groupsOf(halves[1] ?? '')];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  return [...head, ...new Array<bigint>(missing).fill(0n), ...tail].reduce((bits, group) => (bits << 16n) | group, 0n);
}

function fourOf(text: string): bigint | null {
  const parts = text.split('.');
  // A leading zero is octal to some and decimal to others: nobody writes one.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null;
  return parts.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function groupsOf(text: string): bigint[] | null {
  if (text === '') return [];
  const groups: bigint[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    const four = at === parts.length - 1 ? fourOf(part) : null;
    if (four !== null) groups.push(four >> 16n, four & 0xffffn);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`));
    else return null;
  }
  return groups;
}

/** @throws RangeError for what is no network, or an address with bits behind its prefix */
export function parseNetwork(text: string): Network {
  const [, address = '', prefix = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const bits = addressBits(address);
  const length = Number(prefix) + (address.includes(':') ? 0 : 96);
  if (bits === null || prefix === '' || length > 128) throw new RangeError(`“${text}” is no network like 10.1.0.0/16`);
  if ((bits & ((1n << BigInt(128 - length)) - 1n)) !== 0n)
    throw new RangeError(`“${text}” is an address, not a network: bits are set behind /${prefix}`);
  return { bits, length };
}

const contains = ({ bits, length }: Network, address: bigint): boolean =>
  address >> BigInt(128 - length) === bits >> BigInt(128 - length);

/** Names of the zones that an address lies in; null for what is no address. @throws RangeError for a bad network */
export function zoneFinder(zones: NetworkZones): (address: string) => ReadonlySet<string> | null {
  const parsed = Object.entries(zones).map(([name, networks]) => [name, networks.map(parseNetwork)] as const);
  return (address) => {
    const bits = addressBits(address);
    if (bits === null) return null;
    return new Set(
      parsed.filter(([, networks]) => networks.some((network) => contains(network, bits))).map(([name]) => name),
    );
  };
}
