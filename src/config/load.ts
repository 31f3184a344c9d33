import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import { Config } from './schema.ts';

/** All faults of a configuration at once, by name and never by value. */
export class ConfigFaults extends Error {
  override readonly name = 'ConfigFaults';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
    );
    this.faults = faults;
  }
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file that was read, or null where there is none. */
  readonly file: string | null;
  /** Folder that relative paths of the configuration refer to. */
  readonly base: string;
}

type Tree = Record<string, unknown>;
const PREFIX = 'STRONGROOM_';
/** Variables with the prefix that are not settings. */
const OTHERS: ReadonlySet<string> = new Set(['STRONGROOM_CONFIG', 'STRONGROOM_DATA_DIR']);

/**
 * Reads `strongroom.yaml` (or STRONGROOM_CONFIG), then the environment over it. The only reader of the environment.
 *
 * @throws ConfigFaults
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env, folder: string = process.cwd()): LoadedConfig {
  const named = environment['STRONGROOM_CONFIG'];
  const path = resolve(folder, named ?? 'strongroom.yaml');
  const faults: string[] = [];
  const { tree, found } = readFile(path, named !== undefined, faults);
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith(PREFIX) && !OTHERS.has(name) && value !== undefined) overlay(tree, name, value, faults);
  }
  if (environment['STRONGROOM_DATA_DIR'] !== undefined) tree['dataDir'] = environment['STRONGROOM_DATA_DIR'];
  if (environment['DATABASE_URL_FILE'])
    tree['database'] = { ...asTree(tree['database']), urlFile: environment['DATABASE_URL_FILE'] };
  if (environment['DATABASE_URL']) tree['database'] = { ...asTree(tree['database']), url: environment['DATABASE_URL'] };
  const result = Config.safeParse(tree);
  if (!result.success) faults.push(...result.error.issues.flatMap((issue) => describe(issue)));
  if (result.data) faults.push(...contradictions(result.data));
  if (faults.length > 0 || !result.data) throw new ConfigFaults([...new Set(faults)]);
  return { config: result.data, file: found ? path : null, base: found ? dirname(path) : folder };
}

/** The variables that an engine's child may be handed; it takes a few named ones of them. */
export const processEnvironment = (): NodeJS.ProcessEnv => process.env;

function readFile(path: string, required: boolean, faults: string[]): { tree: Tree; found: boolean } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (required || (error as NodeJS.ErrnoException).code !== 'ENOENT') faults.push(`${path}: can't be read`);
    return { tree: {}, found: false };
  }
  try {
    const value: unknown = parse(text, { prettyErrors: false, uniqueKeys: true, maxAliasCount: 0 }) ?? {};
    // Anything else would be taken for an empty file, and the gateway would start on defaults.
    if (typeof value !== 'object' || Array.isArray(value)) faults.push(`${path}: settings are written as NAME: VALUE`);
    return { tree: asTree(value), found: true };
  } catch (error) {
    const line = (error as { linePos?: [{ line: number }] }).linePos?.[0].line;
    faults.push(`${path}: not valid YAML${line === undefined ? '' : `, line ${line}`}`);
    return { tree: {}, found: true };
  }
}

const asTree = (value: unknown): Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};

/** `STRONGROOM_HTTP__PORT=9443` is `http.port: 9443`: upper case, `__` between levels; `…_FILE` may be written for a `…File`. */
function overlay(tree: Tree, name: string, value: string, faults: string[]): void {
  const wanted = name.slice(PREFIX.length).split('__');
  let schema: unknown = Config;
  let node = tree;
  for (const [depth, part] of wanted.entries()) {
    const shape = shapeOf(schema);
    const key = Object.keys(shape).find((candidate) =>
      [part, part.replace(/_FILE$/, 'FILE')].includes(candidate.toUpperCase()),
    );
    if (key === undefined) {
      faults.push(`${name}: there is no such setting`);
      return;
    }
    schema = shape[key];
    if (depth < wanted.length - 1) {
      node[key] = asTree(node[key]);
      node = node[key] as Tree;
    } else node[key] = scalar(value);
  }
}

/** The members of a strict object, through defaults and optionals. */
function shapeOf(schema: unknown): Record<string, unknown> {
  let inner = schema as { shape?: Record<string, unknown>; def?: { innerType?: unknown } };
  while (inner.shape === undefined && inner.def?.innerType !== undefined) inner = inner.def.innerType as typeof inner;
  return inner.shape ?? {};
}

/** A variable is text; numbers, switches and lists are written as in YAML. A URL or a path stays what it is. */
function scalar(value: string): unknown {
  return /^(-?\d+|true|false|\[.*\])$/s.test(value) ? parse(value) : value;
}

function describe(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[] = []): string[] {
  const path = [...prefix, ...issue.path].map(String);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${[...path, key].join('.')}: there is no such setting`);
  if (issue.code === 'invalid_union') {
    const upstream = issue.errors.find(
      (errors) => !errors.some((error) => error.path[0] === 'upstream' || isUnknown(error, 'file')),
    );
    const nearest = upstream ?? issue.errors[0] ?? [];
    return nearest.flatMap((error) => describe(error, path.map(String)));
  }
  return [`${path.join('.') || 'the file'}: ${issue.message}`];
}

const isUnknown = (issue: z.core.$ZodIssue, key: string): boolean =>
  issue.code === 'unrecognized_keys' && issue.keys.includes(key);

/** What each key allows and the whole does not. */
function contradictions({ tls, database, keys, identity, models }: Config): string[] {
  const faults: string[] = [];
  for (const [id, model] of Object.entries(models ?? {}))
    if (
      !('upstream' in model) &&
      (model.chatTemplateFile === undefined) === (model.approvedTemplateSha256 === undefined)
    )
      faults.push(`models.${id}: needs either chatTemplateFile or approvedTemplateSha256`);
  for (const [id, model] of Object.entries(models ?? {})) {
    if (!('upstream' in model)) continue;
    const { url, urls, names } = model.upstream;
    if ((url === undefined) === (urls === undefined)) faults.push(`models.${id}.upstream: needs either url or urls`);
    if (new Set(urls).size < (urls?.length ?? 0)) faults.push(`models.${id}.upstream.urls: names a server twice`);
    const { certFile, keyFile } = model.upstream;
    if ((certFile === undefined) !== (keyFile === undefined))
      faults.push(`models.${id}.upstream: certFile and keyFile belong together`);
    if (names !== undefined && (names.length !== (urls?.length ?? 1) || new Set(names).size < names.length))
      faults.push(`models.${id}.upstream.names: needs one name for each server`);
  }
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined))
    faults.push('tls: certFile and keyFile belong together');
  if (database.url !== undefined && database.urlFile !== undefined)
    faults.push('database: url and urlFile exclude each other');
  if ((database.url ?? database.urlFile) !== undefined) {
    for (const name of ['sealFile', 'checkpointFile'] as const)
      if (keys[name] === undefined)
        faults.push(`keys.${name}: needed with a database of your own; \`strongroom keys init DIR\` makes one`);
  }
  if (
    (database.url ?? database.urlFile) !== undefined &&
    identity.tokens.audiences.length > 0 &&
    keys.tokenDir === undefined
  )
    faults.push('keys.tokenDir: needed for tokens with a database of your own; `strongroom keys init DIR` makes a key');
  if (!identity.localAccounts && identity.oidc === undefined)
    faults.push('identity.localAccounts: can be false only with identity.oidc');
  if (identity.oidc !== undefined && !identity.oidc.scope.split(' ').includes('openid'))
    faults.push('identity.oidc.scope: must contain openid');
  return faults;
}
