import { z } from 'zod';
import { PUBLIC, publicRoute, type Route } from './route.ts';

interface Declared {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly access: unknown;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly bytes?: { readonly type: string };
  readonly form?: true;
  readonly response?: z.ZodType;
}

const FORM = 'application/x-www-form-urlencoded';

/** OpenAPI 3.1 of a route table, from the schemas that validate. */
export function openApiDocument(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const declared of routes as readonly unknown[] as readonly Declared[]) {
    const path = declared.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [declared.method.toLowerCase()]: operationOf(declared) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Strongroom', version: '0.1.0' },
    security: [{ bearer: [] }, { apiKey: [] }, { cookie: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A session token or an API key.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        cookie: { type: 'apiKey', in: 'cookie', name: '__Host-strongroom' },
      },
    },
  };
}

function operationOf({ id, summary, access, params, query, body, form, bytes, response }: Declared): object {
  const parameters = [...parametersOf('path', params), ...parametersOf('query', query)];
  return {
    operationId: id,
    summary,
    ...(access === PUBLIC ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? {
          requestBody: {
            required: true,
            content: { [form ? FORM : 'application/json']: { schema: schemaOf(body, 'input') } },
          },
        }
      : {}),
    ...(bytes
      ? { requestBody: { required: true, content: { [bytes.type]: { schema: { type: 'string', format: 'binary' } } } } }
      : {}),
    responses: {
      default: { description: 'A problem: RFC 9457, or OpenAI’s error shape below /v1.' },
      '2XX': {
        description: 'Done.',
        ...(response ? { content: { 'application/json': { schema: schemaOf(response, 'output') } } } : {}),
      },
    },
  };
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): object[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    properties?: Record<string, object>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, of]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: of,
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

/** GET /openapi.json for a table; made once. */
export function openApiRoute(routes: readonly Route[]): Route {
  const document = openApiDocument(routes);
  return publicRoute({
    id: 'openapi',
    method: 'GET',
    path: '/openapi.json',
    summary: 'This interface as OpenAPI 3.1',
    access: PUBLIC,
    handle: async () => ({ kind: 'json', body: document }),
  });
}
