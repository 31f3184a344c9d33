import type { TestGateway } from '../harness/gateway.ts';
import type { Operation } from './people.ts';

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly minProperties?: number;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}
interface Described {
  readonly operationId: string;
  readonly security?: readonly unknown[];
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: Schema }[];
  /** A form is no JSON: its routes are public, and have no sample here. */
  readonly requestBody?: { content: { 'application/json'?: { schema: Schema } } };
}

/** A route as the gateway itself describes it, with a request that its schemas accept. */
export interface TableRoute extends Operation {
  readonly id: string;
  readonly isPublic: boolean;
}

/** Where a schema's pattern can't be guessed: texts that are tried. A new route with a shape of its own adds one here. */
const TEXTS = [
  'x'.repeat(16),
  '123456',
  'demo',
  'mei.li',
  'usr_00000000000000000000000000000000',
  'key_00000000000000000000000000000000',
  'ses_00000000000000000000000000000000',
  'hold_00000000000000000000000000000000',
  'psk_00000000000000000000000000000000',
  'req_00000000000000000000000000000000',
  `sre_${'A'.repeat(43)}`,
  `suc_${'A'.repeat(43)}`,
  '2026-01-01T00:00:00Z',
  'a'.repeat(64),
  'https://example.test/',
  'role:analyst',
];

/** Places what the made-up ids name: a sentence for a second factor can be made only of what is there. */
export async function placeNamed(test: TestGateway): Promise<void> {
  const none = '0'.repeat(32);
  await test.database.sql(
    `INSERT INTO account (id, username, roles, created_at) VALUES ('usr_${none}', 'batch', '{service}', now());
     INSERT INTO api_key (id, account_id, name, secret_hash, created_at)
       VALUES ('key_${none}', 'usr_${none}', 'nightly', 'x', now());
     INSERT INTO legal_hold (id, action, reason, placed_by, placed_at)
       VALUES ('hold_${none}', 'infer', 'a case', 'usr_${none}', now())`,
  );
}

/** The whole table of the running gateway. `known` fills path parameters by the route's id and the parameter's name. */
export async function routeTable(
  test: TestGateway,
  known: (route: string, parameter: string) => string | undefined,
): Promise<TableRoute[]> {
  const { paths } = (await test.client.get('/openapi.json')).json<{
    paths: Record<string, Record<string, Described>>;
  }>();
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => routeOf(path, method.toUpperCase(), described, known)),
  );
}

function routeOf(
  path: string,
  method: string,
  { operationId, security, parameters = [], requestBody }: Described,
  known: (route: string, parameter: string) => string | undefined,
): TableRoute {
  const full = parameters
    .filter((parameter) => parameter.in === 'path')
    .reduce(
      (text, { name, schema }) => text.replace(`{${name}}`, known(operationId, name) ?? String(sampleOf(schema))),
      path,
    );
  const query = parameters
    .filter((parameter) => parameter.in === 'query' && parameter.required)
    .map(({ name, schema }) => `${name}=${encodeURIComponent(String(sampleOf(schema)))}`);
  const schema = requestBody?.content['application/json']?.schema;
  return {
    id: operationId,
    method,
    path: query.length === 0 ? full : `${full}?${query.join('&')}`,
    isPublic: security?.length === 0,
    ...(schema === undefined ? {} : { body: sampleOf(schema) }),
  };
}

/** Something that a schema accepts. @throws where it can't be made up: then TEXTS needs one more. */
function sampleOf(schema: Schema): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const [first] = schema.anyOf ?? schema.oneOf ?? [];
  if (first !== undefined) return sampleOf(first);
  switch (schema.type) {
    case 'object': {
      const required = schema.required ?? [];
      const optional = Object.keys(schema.properties ?? {}).filter((name) => !required.includes(name));
      const names = [...required, ...optional.slice(0, Math.max(0, (schema.minProperties ?? 0) - required.length))];
      return Object.fromEntries(names.map((name) => [name, sampleOf(schema.properties?.[name] ?? {})]));
    }
    case 'array':
      return schema.items === undefined ? [] : [sampleOf(schema.items)];
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 1, 1);
    case 'boolean':
      return true;
    case 'string': {
      const fits = TEXTS.find((text) => new RegExp(schema.pattern ?? '', 'u').test(text));
      if (fits === undefined) throw new Error(`no text for the pattern ${schema.pattern}`);
      return fits;
    }
    default:
      throw new Error(`no sample for ${JSON.stringify(schema)}`);
  }
}
