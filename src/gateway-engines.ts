import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { ResourceAttributes } from '#access/access.ts';
import { processEnvironment } from '#config/load.ts';
import type { LocalModelConfig, UpstreamModelConfig } from '#config/models.ts';
import type { Config } from '#config/schema.ts';
import { EngineRegistry } from '#engine/catalogue.ts';
import type { Engine } from '#engine/engine.ts';
import { openLlamaModel } from '#engine/model.llama.ts';
import { openUpstreamModel } from '#engine/model.upstream.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { BUILT_IN_MODEL } from '#models/built-in.ts';
import { PROGRAM } from './gateway-database.ts';

export interface Catalogue {
  readonly engines: EngineRegistry;
  /** Null for a model that is not in the catalogue. */
  readonly attributesOf: (model: string) => ResourceAttributes | null;
}

interface EngineDeps {
  readonly log: Log;
  readonly clock: Clock;
}

/** Opens every model of the catalogue behind its engine. Nothing is loaded yet. @throws Error for an unreadable file. */
export async function openCatalogue({ models }: Config, base: string, deps: EngineDeps): Promise<Catalogue> {
  const attributes = new Map<string, ResourceAttributes>();
  const engines: [string, Engine][] = [];
  if (models === undefined) {
    const { id, ...builtIn } = BUILT_IN_MODEL;
    attributes.set(id, { classification: 0, owner: '' });
    const model = { ...builtIn, classification: 0, ownerDepartment: '', gpu: 'auto' } as const;
    engines.push([id, await localEngine(id, model, PROGRAM, deps)]);
  }
  for (const [id, model] of Object.entries(models ?? {})) {
    attributes.set(id, { classification: model.classification, owner: model.ownerDepartment });
    engines.push([
      id,
      'upstream' in model ? await upstreamEngine(id, model, base, deps) : await localEngine(id, model, base, deps),
    ]);
  }
  return { engines: new EngineRegistry(engines), attributesOf: (model) => attributes.get(model) ?? null };
}

async function localEngine(id: string, model: LocalModelConfig, base: string, deps: EngineDeps): Promise<Engine> {
  return openLlamaModel(
    {
      id,
      file: resolve(base, model.file),
      sha256: model.sha256,
      chatTemplate: await readFile(resolve(base, model.chatTemplateFile), 'utf8'),
      contextSize: model.contextSize,
      parallel: model.parallel,
      maxOutputTokens: Math.min(model.maxOutputTokens, model.contextSize),
      threads: model.threads ?? availableParallelism(),
      gpu: model.gpu,
    },
    { ...deps, environment: processEnvironment() },
  );
}

async function upstreamEngine(id: string, model: UpstreamModelConfig, base: string, deps: EngineDeps): Promise<Engine> {
  const { url, model: name, apiKeyFile, caFile } = model.upstream;
  return openUpstreamModel(
    {
      id,
      url,
      model: name,
      maxOutputTokens: model.maxOutputTokens,
      parallel: model.parallel,
      ...(model.contextSize === undefined ? {} : { contextSize: model.contextSize }),
      ...(apiKeyFile === undefined ? {} : { apiKey: (await readFile(resolve(base, apiKeyFile), 'utf8')).trim() }),
      ...(caFile === undefined ? {} : { ca: await readFile(resolve(base, caFile), 'utf8') }),
    },
    deps,
  );
}
