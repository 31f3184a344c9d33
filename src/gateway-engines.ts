import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ResourceAttributes } from '#access/access.ts';
import { type AuditEvent, SYSTEM } from '#audit/event.ts';
import { processEnvironment } from '#config/load.ts';
import { type LocalModelConfig, Models, type UpstreamModelConfig } from '#config/models.ts';
import type { Config } from '#config/schema.ts';
import { EngineRegistry } from '#engine/catalogue.ts';
import type { Engine } from '#engine/engine.ts';
import type { EngineEvent } from '#engine/engine-event.ts';
import { type GpuWatch, withEngineGpus } from '#engine/gpu.system.ts';
import { openFileMemory } from '#engine/llama/file-memory.files.ts';
import type { FileMemory } from '#engine/llama/file-memory.ts';
import { lookForGpus } from '#engine/llama/gpu-look.system.ts';
import { openLlamaModel } from '#engine/llama/model.llama.ts';
import { hasGpuFiles, openSandbox, type Sandbox } from '#engine/llama/sandbox.system.ts';
import type { SandboxChoice } from '#engine/llama/sandbox.ts';
import { filesOf, type LlamaModelSpec, templateDigest } from '#engine/model-spec.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import { openKeyFile } from '#engine/upstream/rotating-key.files.ts';
import { openTlsFiles } from '#engine/upstream/rotating-tls.files.ts';
import type { Clock } from '#kernel/clock.ts';
import type { ModelAsk } from '#kernel/gate.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { BUILT_IN_MODEL } from '#models/built-in.ts';
import type { Room } from '#models/memory-plan.ts';
import { PROGRAM } from './gateway-database.ts';
import { childLimit, machineBudget, Placements } from './gateway-memory.ts';
import { specsOf } from './gateway-specs.ts';

export interface Catalogue {
  readonly engines: EngineRegistry;
  /** Null for a model that is not in the catalogue. */
  readonly attributesOf: (model: string) => ResourceAttributes | null;
  /** What is asked of a model, with the adapter that it has: that is ours to say, not a route's. */
  readonly withAdapter: (model: string, ask: ModelAsk) => ModelAsk;
  /** Whether its configuration pins it. */
  readonly isPinned: (model: string) => boolean;
  /** Every model with the digests of its files, for the record. */
  readonly digests: readonly string[];
  /** Digest of what is offered, and to whom: the same on every gateway of a database, wherever its files lie. */
  readonly fingerprint: string;
  /** What models may take of this machine. */
  readonly budget: Room;
  readonly placements: Placements;
  /** Those that nvidia-smi shows, and those that the engine finds. */
  readonly gpus: GpuWatch;
  /** Null where no model runs on this machine. */
  readonly sandbox: SandboxChoice | null;
}

interface EngineDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly gpus: GpuWatch;
  readonly onEvent: (event: EngineEvent) => void;
}

/** What an engine's child needs beside its model. */
interface LocalDeps extends EngineDeps {
  readonly sandbox: Sandbox;
  readonly files: FileMemory;
}

/** Opens every model of the catalogue behind its engine. Nothing is loaded yet. @throws Error for an unreadable file. */
export async function openCatalogue(config: Config, base: string, deps: EngineDeps): Promise<Catalogue> {
  const { models } = config;
  const hasOwn = models === undefined || Object.values(models).some((model) => !('upstream' in model));
  const local = hasOwn ? await localDeps(config, base, deps) : null;
  const attributes = new Map<string, ResourceAttributes>();
  const engines: [string, Engine][] = [];
  const adapters = new Map<string, readonly string[]>();
  const pinned = new Set<string>();
  const digests: string[] = [];
  const offers: unknown[] = [];
  const entries = await entriesOf(config, base);
  const specs = entries.flatMap(({ specs }) => specs);
  const gpus = local === null ? deps.gpus : await findGpus(deps.gpus, specs, local.sandbox, deps.log);
  const budget = machineBudget(config, gpus);
  const placements = new Placements(config, gpus, local?.files ?? null);
  for (const { id, model, folder, specs } of entries) {
    if ('upstream' in model) {
      attributes.set(id, attributesOf(model));
      digests.push(`${id} upstream`);
      offers.push([id, model.upstream.model, model.contextSize, attributesOf(model)]);
      engines.push([id, await upstreamEngine(id, model, folder, deps)]);
    } else if (local !== null) {
      if (model.pin) pinned.add(id);
      for (const spec of specs) {
        attributes.set(spec.id, attributesOf(model, spec.adapter?.name));
        placements.add(spec);
        if (spec.adapter !== undefined) adapters.set(spec.id, [spec.adapter.name]);
        digests.push([spec.id, ...filesOf(spec).map(({ sha256 }) => sha256)].join(' '));
        const { contextSize, maxOutputTokens, systemPrompts = [] } = spec;
        const made = [contextSize, maxOutputTokens, templateDigest(spec), systemPrompts];
        offers.push([digests.at(-1), made, attributesOf(model, spec.adapter?.name), pinned.has(spec.id)]);
        const bounded = { ...spec, memoryLimit: childLimit(budget, spec) };
        const gpuLayers = () => placements.of(spec.id)?.onGpu ?? null;
        engines.push([spec.id, openLlamaModel(bounded, { ...local, gpuLayers, limits: limitsOf(model) })]);
      }
    }
  }
  return {
    budget,
    placements,
    gpus,
    engines: new EngineRegistry(engines),
    attributesOf: (model) => attributes.get(model) ?? null,
    withAdapter: (model, ask) => (adapters.has(model) ? { ...ask, adapters: adapters.get(model) } : ask),
    isPinned: (model) => pinned.has(model),
    digests,
    fingerprint: sha256Hex(JSON.stringify(offers.map((offer) => JSON.stringify(offer)).sort())),
    sandbox: local?.sandbox ?? null,
  };
}

/** What an adapter was taught may be more secret than its model, never less. */
function attributesOf(model: LocalModelConfig | UpstreamModelConfig, adapter?: string): ResourceAttributes {
  const put = adapter === undefined || 'upstream' in model ? undefined : model.adapters[adapter];
  return {
    classification: Math.max(model.classification, put?.classification ?? 0),
    owner: put?.ownerDepartment ?? model.ownerDepartment,
  };
}

const limitsOf = ({ maxQueue, maxQueueMs }: LocalModelConfig | UpstreamModelConfig) => ({ maxQueue, maxQueueMs });

async function localDeps(config: Config, base: string, deps: EngineDeps): Promise<LocalDeps> {
  return {
    ...deps,
    sandbox: await findSandbox(config, base, deps.log),
    files: await knownFiles(config, base, deps),
  };
}

/** What earlier lives of the gateway have found out about the files of this catalogue. */
export const knownFiles = (config: Config, base: string, { clock, log }: Pick<EngineDeps, 'clock' | 'log'>) => {
  const catalogue = sha256Hex(JSON.stringify(config.models ?? BUILT_IN_MODEL));
  return openFileMemory(resolve(base, config.dataDir), catalogue, clock, log);
};

/** The models that run on this machine, as the configuration has them. */
export const localSpecs = async (config: Config, base: string): Promise<LlamaModelSpec[]> =>
  (await entriesOf(config, base)).flatMap(({ specs }) => specs);

interface Entry {
  readonly id: string;
  readonly model: LocalModelConfig | UpstreamModelConfig;
  /** What its paths refer to. */
  readonly folder: string;
  /** None of a model that runs elsewhere. */
  readonly specs: readonly LlamaModelSpec[];
}

async function entriesOf({ models }: Config, base: string): Promise<Entry[]> {
  const { id, ...builtIn } = BUILT_IN_MODEL;
  const [all, folder] = models === undefined ? [Models.parse({ [id]: builtIn }), PROGRAM] : [models, base];
  // Where no model names any, those that whoever started us has left us.
  const devices = processEnvironment()['CUDA_VISIBLE_DEVICES'];
  const entries = Object.entries(all ?? {}).map(async ([name, model]) => ({
    ...{ id: name, model, folder },
    specs: 'upstream' in model ? [] : await specsOf(name, model, folder, devices),
  }));
  return Promise.all(entries);
}

/** What nvidia-smi does not show is asked of the engine, where there is a GPU's device file or a model names the way to one. */
export const findGpus = (watch: GpuWatch, specs: readonly LlamaModelSpec[], sandbox: Sandbox, log: Log) =>
  withEngineGpus(
    watch,
    specs.filter(({ gpu }) => gpu !== 'auto' || hasGpuFiles()),
    (use) => lookForGpus(use, sandbox, log),
  );

/** The best sandbox of this machine, or of those that the configuration accepts. Also what `doctor` shows. */
export async function findSandbox(config: Config, base: string, log: Log): Promise<Sandbox> {
  const folder = resolve(base, config.dataDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const own = config.database.url ?? config.database.urlFile;
  const policy = config.engine.sandbox ?? (own === undefined ? 'preferred' : 'required');
  const environment = processEnvironment();
  const withKernels = mayUseGpu(config) ? await withKernelCache(environment, folder) : environment;
  return openSandbox(policy, withKernels, folder, log);
}

/** A GPU is here, or a model asks for one by name. */
const mayUseGpu = ({ models = {} }: Config): boolean =>
  hasGpuFiles() || Object.values(models).some((model) => 'gpu' in model && ['cuda', 'vulkan'].includes(model.gpu));

/** What a GPU compiles at a first load is kept, or it is compiled at every load: minutes, on a GPU newer than the engine. */
async function withKernelCache(environment: NodeJS.ProcessEnv, folder: string): Promise<NodeJS.ProcessEnv> {
  if (environment['CUDA_CACHE_PATH'] !== undefined) return environment;
  const kernels = join(folder, 'engine', 'kernels');
  await mkdir(kernels, { recursive: true, mode: 0o700 });
  return { ...environment, CUDA_CACHE_PATH: kernels };
}

async function upstreamEngine(id: string, model: UpstreamModelConfig, base: string, deps: EngineDeps): Promise<Engine> {
  const { upstream } = model;
  const { url, urls = url === undefined ? [] : [url], names, apiKeyFile } = upstream;
  const at = (file: string | undefined) => (file === undefined ? undefined : resolve(base, file));
  const tlsFiles = { caFile: at(upstream.caFile), certFile: at(upstream.certFile), keyFile: at(upstream.keyFile) };
  const hasTls = Object.values(tlsFiles).some((file) => file !== undefined);
  return openUpstreamModel(
    {
      id,
      urls,
      ...(names === undefined ? {} : { names }),
      model: upstream.model,
      maxOutputTokens: model.maxOutputTokens,
      parallel: model.parallel,
      cacheSalt: upstream.cacheSalt,
      structuredOutput: upstream.structuredOutput,
      routing: upstream.routing,
      probePath: upstream.probePath,
      embedding: model.embedding,
      ...(model.contextSize === undefined ? {} : { contextSize: model.contextSize }),
      ...(apiKeyFile === undefined ? {} : { apiKey: await openKeyFile(resolve(base, apiKeyFile), deps.log) }),
      ...(hasTls ? { tls: await openTlsFiles(tlsFiles, deps.log) } : {}),
    },
    {
      ...deps,
      limits: {
        ...limitsOf(model),
        connectMs: upstream.connectSeconds * 1000,
        firstByteMs: upstream.firstByteSeconds * 1000,
        nextByteMs: upstream.nextByteSeconds * 1000,
        answerMs: upstream.answerSeconds * 1000,
        probeMs: upstream.probeSeconds * 1000,
        failures: upstream.breakerFailures,
        openMs: upstream.breakerSeconds * 1000,
      },
    },
  );
}

/** What an engine did is nobody's act: on the record as the gateway's own. */
export const engineEvents = (tell: (event: AuditEvent) => void) => (event: EngineEvent) => tell(recordOf(event));

function recordOf(event: EngineEvent): AuditEvent {
  const facts = {
    how: event.how,
    ...(event.type === 'crashed' ? { deaths: event.deaths } : {}),
    ...(event.type === 'quarantined' ? { sha256: event.digest } : {}),
  };
  return {
    kind: 'system',
    actor: SYSTEM,
    action: `model.${event.type}`,
    resource: `model:${event.model}`,
    outcome: 'completed',
    request: null,
    facts,
  };
}
