import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { processEnvironment } from '#config/load.ts';
import type { Config } from '#config/schema.ts';
import { judgeCertificate } from '#doctor/certificate.ts';
import { readDatabase } from '#doctor/database.postgres.ts';
import { judgeDatabase } from '#doctor/database.ts';
import { type BackendFacts, judgeGpu, judgeModel, type ModelFacts } from '#doctor/engine.ts';
import { type Finding, fail, ok } from '#doctor/finding.ts';
import {
  digestOf,
  diskOf,
  filesOf,
  missingLibraries,
  modeOf,
  probePort,
  showsCertificate,
  showsText,
  textOf,
} from '#doctor/machine.system.ts';
import { judgeDisk, judgeLimits, judgeNode, judgePort, judgeSandbox, judgeSecrets } from '#doctor/machine.ts';
import type { FileFacts } from '#doctor/model-file.ts';
import type { GgufFacts } from '#engine/gguf/gguf-header.ts';
import { readAdapter, readDraft, readHeader } from '#engine/gguf-file.files.ts';
import { type GpuWatch, gpuTool, watchGpus } from '#engine/gpu.system.ts';
import { stampOf } from '#engine/llama/file-memory.files.ts';
import type { FileMemory } from '#engine/llama/file-memory.ts';
import { hasGpuFiles, type Sandbox } from '#engine/llama/sandbox.system.ts';
import { type ApprovedFile, type LlamaModelSpec, quarantineOf, templateDigest } from '#engine/model-spec.ts';
import { systemClock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import { silentLog } from '#kernel/log.ts';
import { startEmbedded } from '#postgres/embedded.ts';
import { checkpointKeyFile } from './gateway-audit.ts';
import { configuredUrls, MIGRATIONS, PROGRAM } from './gateway-database.ts';
import { findGpus, findSandbox, knownFiles, localSpecs } from './gateway-engines.ts';
import { tokenFolder } from './gateway-federation.ts';
import { sealFile } from './gateway-keys.ts';
import { machineBudget, Placements } from './gateway-memory.ts';
import { isLoopback, metricsPlace, metricsToken } from './gateway-metrics.ts';

export interface Examination {
  readonly findings: readonly Finding[];
  /** Null: the configuration asks for more than this machine has. */
  readonly sandbox: Pick<Sandbox, 'level' | 'network' | 'faults'> | null;
}

/** Looks at everything that a gateway of this configuration needs, while it runs and when it does not. Never rejects. */
export async function examine(config: Config, base: string): Promise<Examination> {
  const dataDir = resolve(base, config.dataDir);
  const sandbox = await findSandbox(config, base, silentLog).catch((error: Error) => error);
  using gpus = await knownGpus(config, base, sandbox instanceof Error ? null : sandbox);
  const level = sandbox instanceof Error ? 'none' : sandbox.level;
  const tls = await tlsFiles(config, base);
  const groups = await Promise.all([
    [judgeNode(process.version, process.execArgv)],
    textOf('/proc/self/limits').then((text) => [judgeLimits(text)]),
    diskOf(dataDir).then((disk) => [judgeDisk(dataDir, disk)]),
    examineSecrets(config, base, tls.keyFile),
    examineCertificate(config, tls),
    examineDatabase(config, base),
    examinePorts(config, base, tls.certFile),
    [
      sandbox instanceof Error
        ? fail('sandbox', sandbox.message, 'see above')
        : judgeSandbox(sandbox.level, sandbox.network, sandbox.faults),
    ],
    guarded('gpu', () => examineGpu(config, base, gpus, level)),
    guarded('models', () => examineModels(config, base, gpus, level)),
  ]);
  return { findings: groups.flat(), sandbox: sandbox instanceof Error ? null : sandbox };
}

/** A catalogue that can't be read is told of where it is looked at. */
async function knownGpus(config: Config, base: string, sandbox: Sandbox | null): Promise<GpuWatch> {
  const watch = await watchGpus();
  const specs = await localSpecs(config, base).catch(() => []);
  return sandbox === null ? watch : findGpus(watch, specs, sandbox, silentLog);
}

const guarded = (check: string, look: () => Promise<Finding[]>): Promise<Finding[]> =>
  look().catch((error: unknown) => [fail(check, sentence(error), 'mend that first')]);

const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly isDevelopment: boolean;
}

function tlsFiles({ tls, dataDir }: Config, base: string): TlsFiles {
  if (tls.certFile !== undefined && tls.keyFile !== undefined)
    return { certFile: resolve(base, tls.certFile), keyFile: resolve(base, tls.keyFile), isDevelopment: false };
  const folder = join(resolve(base, dataDir), 'tls');
  return { certFile: join(folder, 'server.pem'), keyFile: join(folder, 'server.key'), isDevelopment: true };
}

async function examineSecrets(config: Config, base: string, keyFile: string): Promise<Finding[]> {
  const { database, models = {}, identity } = config;
  const isOwn = (database.url ?? database.urlFile) !== undefined;
  const data = (name: string) => join(resolve(base, config.dataDir), name);
  const made = (what: string, file: string, isMade: boolean) => ({ what, file, isMade });
  const named = (what: string, file: string | undefined) =>
    file === undefined ? [] : [made(what, resolve(base, file), false)];
  const files = [
    made('the key that seals second factors', sealFile(config, base), !isOwn),
    made('the key that signs the log', checkpointKeyFile(config, base), !isOwn),
    made('the TLS key', keyFile, config.tls.keyFile === undefined),
    ...(await filesOf(tokenFolder(config, base))).map((file) => made('a key', file, true)),
    ...['postgres.json', 'first-run.json'].map((name) => made('a password', data(name), true)),
    ...named('a database login', database.urlFile),
    ...named('a database login', database.migrateUrlFile),
    ...named('a database login', database.auditorUrlFile),
    ...named('a database login', database.verifierUrlFile),
    ...named('a database login', database.signerUrlFile),
    ...named('the token of the metrics', config.metrics.tokenFile),
    ...named('the identity provider’s secret', identity.oidc?.clientSecretFile),
    ...Object.values(models).flatMap((model) =>
      'upstream' in model
        ? [...named('an upstream’s key', model.upstream.apiKeyFile), ...named('a TLS key', model.upstream.keyFile)]
        : [],
    ),
  ];
  const unique = [...new Map(files.map((one) => [one.file, one])).values()];
  return judgeSecrets(await Promise.all(unique.map(async (one) => ({ ...one, mode: await modeOf(one.file) }))));
}

async function examineCertificate({ http }: Config, { certFile, keyFile, isDevelopment }: TlsFiles) {
  const chain = await textOf(certFile);
  if (chain === null && isDevelopment) return [ok('tls', 'no certificate yet; the first start makes one of its own')];
  if (chain === null) return [fail('tls', `${certFile} can not be read`, 'put the certificate there')];
  const host = http.publicUrl === undefined ? 'localhost' : new URL(http.publicUrl).hostname;
  return judgeCertificate({ file: certFile, chain, key: await textOf(keyFile), host, now: systemClock.now() });
}

async function examineDatabase(config: Config, base: string): Promise<Finding[]> {
  const dataDir = resolve(base, config.dataDir);
  try {
    const urls = await configuredUrls(config, base);
    if (urls !== null) {
      const facts = await readDatabase(urls, MIGRATIONS, systemClock.now);
      return judgeDatabase({ ...facts, embedded: false });
    }
    if (!existsSync(join(dataDir, 'postgres.json')))
      return [ok('database', 'no embedded Postgres yet; the first start makes it')];
    // Joins the one that runs; one that does not is started for as long as this takes.
    await using embedded = await startEmbedded({ dataDir, log: silentLog });
    const { runtimeUrl: runtime, auditorUrl: auditor, signerUrl: signer } = embedded;
    const facts = await readDatabase({ runtime, auditor, signer, caFile: undefined }, MIGRATIONS, systemClock.now);
    return judgeDatabase({ ...facts, embedded: true });
  } catch (error) {
    return [
      fail('database', sentence(error), 'without it nothing is answered: let it run, and see the log of Postgres'),
    ];
  }
}

async function examinePorts(config: Config, base: string, certFile: string): Promise<Finding[]> {
  const pem = await textOf(certFile);
  const isOurs = async (host: string, port: number) => {
    if (pem === null) return false;
    return showsCertificate(reachable(host), port, new X509Certificate(pem).fingerprint256);
  };
  const { http } = config;
  const place = metricsPlace(config);
  const token = await metricsToken(config, base, silentLog).catch((error: Error) => error);
  if (token instanceof Error) return [fail('port metrics', token.message, 'put a token there')];
  const areMetrics = (host: string, port: number) => {
    const address = isIP(reachable(host)) === 6 ? `[${reachable(host)}]` : reachable(host);
    return showsText(`http://${address}:${port}/metrics`, 'strongroom_', token?.current);
  };
  const look = async (name: 'https' | 'metrics', host: string, port: number, whose: typeof isOurs) =>
    judgePort({
      name,
      address: `${host}:${port}`,
      state: await probePort(host, port, whose).catch(() => 'taken' as const),
      isOpen: name === 'metrics' && token === null && !isLoopback(host),
    });
  return Promise.all([
    look('https', http.host, http.port, isOurs),
    look('metrics', place.host, place.port, areMetrics),
  ]);
}

/** Where somebody who listens everywhere can be found. */
const reachable = (host: string): string => ({ '0.0.0.0': '127.0.0.1', '::': '::1' })[host] ?? host;

/** What the engine's backends were linked against. */
const LIBRARIES = {
  cuda13: ['libcuda.so.1', 'libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13'],
  cuda12: ['libcuda.so.1', 'libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12'],
  vulkan: ['libvulkan.so.1'],
} as const;

async function examineGpu(config: Config, base: string, gpus: GpuWatch, level: string): Promise<Finding[]> {
  const environment = processEnvironment();
  const backend = async (name: string, libraries: readonly string[]): Promise<BackendFacts> => ({
    isInstalled: existsSync(join(PROGRAM, 'node_modules', '@node-llama-cpp', name, 'package.json')),
    missing: await missingLibraries(libraries, environment['LD_LIBRARY_PATH'] ?? ''),
  });
  const system = `${process.platform}-${process.arch}`;
  const [cuda13, cuda12, vulkan] = await Promise.all([
    backend(`${system}-cuda`, LIBRARIES.cuda13),
    backend(`${system}-cuda-ext`, LIBRARIES.cuda12),
    backend(`${system}-vulkan`, LIBRARIES.vulkan),
  ]);
  const specs = await localSpecs(config, base);
  const isBlind = (spec: LlamaModelSpec) => ['cuda', 'vulkan'].includes(spec.gpu) && gpus.seenBy(spec).length === 0;
  return judgeGpu({
    gpus: gpus.gpus(),
    hasDriver: gpuTool() !== null,
    hasUvm: existsSync('/dev/nvidia-uvm'),
    cuda: [cuda13, cuda12],
    vulkan,
    wanted: specs.map(({ gpu }) => gpu),
    blind: specs.filter(isBlind).map(({ id }) => id),
    // A user id of its own reaches nothing in the data folder.
    keepsKernels: hasGpuFiles() ? level !== 'uid' || environment['CUDA_CACHE_PATH'] !== undefined : null,
  });
}

/** A file up to this size is read at once; what a larger one holds is known when it was loaded once. */
const QUICK_BYTES = 256 * 1024 * 1024;

async function examineModels(config: Config, base: string, gpus: GpuWatch, level: string): Promise<Finding[]> {
  const specs = await localSpecs(config, base);
  const files = await knownFiles(config, base, { clock: systemClock, log: silentLog });
  const placements = new Placements(config, gpus, files);
  const budget = machineBudget(config, gpus);
  return Promise.all(
    specs.map(async (spec) => {
      placements.add(spec);
      // Of the GPUs that it may use.
      const vram = placements.vramFor(spec);
      const own = typeof vram === 'number' ? { ...budget, vram } : budget;
      return judgeModel(await factsOf(spec, placements, files), own, level);
    }),
  );
}

async function factsOf(spec: LlamaModelSpec, placements: Placements, files: FileMemory): Promise<ModelFacts> {
  const { id, adapter, draft, chatTemplate, approvedTemplateSha256 = null } = spec;
  const [header, fault] = await readHeader(spec.file).then(
    (facts) => [facts, null] as const,
    (error: unknown) => [null, sentence(error)] as const,
  );
  // What goes with a model that can't be read nobody knows.
  const faultBeside = (read: (path: string, base: GgufFacts) => Promise<void>, { file }: ApprovedFile) =>
    header === null ? null : read(file, header).then(() => null, sentence);
  const approved = [
    await fileFacts('file', spec, fault, files),
    ...(adapter === undefined
      ? []
      : [await fileFacts('adapter', adapter, await faultBeside(readAdapter, adapter), files)]),
    ...(draft === undefined ? [] : [await fileFacts('draft model', draft, await faultBeside(readDraft, draft), files)]),
  ];
  const own = header?.chatTemplate ?? null;
  const placement = await placements.find(id);
  return {
    id,
    files: approved,
    template: chatTemplate === null ? (own === null ? null : sha256Hex(own)) : templateDigest(spec),
    approvedTemplate: chatTemplate === null ? approvedTemplateSha256 : null,
    needs: placement?.needs ?? null,
    measured: placements.measured(id),
    onGpu: placement?.onGpu ?? 0,
    layers: placement?.of ?? 0,
    quarantine: quarantineOf(spec, files)?.reason ?? null,
  };
}

async function fileFacts(
  what: string,
  { file, sha256 }: ApprovedFile,
  headerFault: string | null,
  files: FileMemory,
): Promise<FileFacts> {
  const found = await open(file).then(
    async (handle) => {
      const { size, mode } = await handle.stat();
      const isKnown = files.isVerified(sha256, stampOf(handle.fd));
      await handle.close();
      return { size, mode, isKnown };
    },
    () => null,
  );
  const isQuick = found !== null && found.size <= QUICK_BYTES;
  return {
    what,
    size: found?.size ?? null,
    readable: found !== null && (found.mode & 0o004) !== 0,
    digest: found?.isKnown ? sha256 : isQuick ? await digestOf(file) : null,
    wanted: sha256,
    headerFault,
  };
}
