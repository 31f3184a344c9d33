import { bytesText, type Finding, fail, ok, warn } from './finding.ts';
import { type Fault, type FileFacts, fileFault } from './model-file.ts';

interface Room {
  readonly ram: number;
  readonly vram: number;
}

/** A model of this machine, as far as it can be known without loading it. */
export interface ModelFacts {
  readonly id: string;
  /** The model's, and those of its adapter and its draft model. */
  readonly files: readonly FileFacts[];
  /** Digest of the chat template that is used, and the one that was approved, where there is one. */
  readonly template: string | null;
  readonly approvedTemplate: string | null;
  readonly needs: Room | null;
  readonly measured: Room | null;
  readonly onGpu: number;
  readonly layers: number;
  readonly quarantine: string | null;
}

export function judgeModel(facts: ModelFacts, budget: Room, sandbox: string): Finding {
  const { id, files, needs, onGpu, layers } = facts;
  const check = `model ${id}`;
  const found = faultOf(facts, budget, sandbox);
  if (found !== null) return fail(check, ...found);
  if (facts.quarantine !== null)
    return warn(check, `in quarantine: ${facts.quarantine}`, `\`strongroom model load ${id}\` tries it again`);
  const counted = facts.measured ?? needs;
  const memory = counted === null ? '' : `, ${facts.measured === null ? 'estimated' : 'measured'} ${roomText(counted)}`;
  const placed = onGpu === 0 ? '' : `, ${onGpu} of ${layers} layers on the GPU`;
  const said = files.map(({ what, size, digest }, at) => {
    const right = digest === null ? 'digest is checked at its first load' : 'digest is right';
    return `${at === 0 ? '' : `${what} `}${bytesText(size ?? 0)}, ${right}`;
  });
  return ok(check, `${said.join(', ')}, template ${(facts.template ?? '').slice(0, 12)}${memory}${placed}`);
}

function faultOf(facts: ModelFacts, budget: Room, sandbox: string): Fault | null {
  const { files, template, approvedTemplate, needs } = facts;
  for (const file of files) {
    const fault = fileFault(file, sandbox);
    if (fault !== null) return fault;
  }
  if (approvedTemplate !== null && template !== approvedTemplate)
    return [
      `its own chat template is ${template ?? 'missing'}, not the approved one`,
      'approve that digest, or pin a template of yours',
    ];
  if (needs !== null && (needs.ram > budget.ram || needs.vram > budget.vram))
    return [
      `needs ${roomText(needs)} of ${roomText(budget)}`,
      'take a smaller context, fewer places, a smaller kvType, fewer gpuLayers, or a larger engine.ramPercent or vramPercent',
    ];
  return null;
}

const roomText = ({ ram, vram }: Room): string =>
  `${bytesText(ram)}${vram === 0 ? '' : ` and ${bytesText(vram)} of GPU`}`;

/** What a backend of the engine needs beside its package: files of the operating system or of NVIDIA. */
export interface BackendFacts {
  /** Whether its npm package is installed. */
  readonly isInstalled: boolean;
  readonly missing: readonly string[];
}

export interface GpuFacts {
  readonly gpus: readonly {
    readonly name: string;
    readonly driver: string;
    readonly totalBytes: number;
    readonly kind?: 'sliced' | 'shared';
  }[];
  /** Whether the driver’s device is there at all, and the one without which CUDA does not start. */
  readonly hasDriver: boolean;
  readonly hasUvm: boolean;
  /** CUDA 13, and CUDA 12 where that is what the machine has. */
  readonly cuda: readonly BackendFacts[];
  readonly vulkan: BackendFacts;
  /** What the models of the catalogue ask for. */
  readonly wanted: readonly string[];
  /** Those that ask for a GPU by name and find none. */
  readonly blind: readonly string[];
  /** Whether kernels that were compiled for this GPU are kept; null where there is no GPU. */
  readonly keepsKernels: boolean | null;
}

/** What nvidia-smi shows has the driver's release; what the engine finds, the way by which it does. */
const gpuText = ({ name, driver, totalBytes, kind }: GpuFacts['gpus'][number]): string => {
  const memory = kind === 'shared' ? `${bytesText(totalBytes)} of the machine's own` : bytesText(totalBytes);
  const how = /^\d/.test(driver) ? `driver ${driver}` : `found by ${driver}`;
  return `${name}, ${memory}, ${how}${kind === 'sliced' ? ', cut into slices' : ''}`;
};

const isWhole = ({ isInstalled, missing }: BackendFacts): boolean => isInstalled && missing.length === 0;

/** Packages are part of `npm ci` on x64; what NVIDIA does not let npm carry is the image's to bring. */
export function judgeGpu({ gpus, hasDriver, hasUvm, cuda, vulkan, wanted, blind, keepsKernels }: GpuFacts): Finding[] {
  const said = gpus.map(gpuText).join('; ');
  const needsCuda = wanted.includes('cuda') || (hasDriver && gpus.length > 0 && wanted.includes('auto'));
  const findings: Finding[] = [];
  if (blind.length > 0)
    findings.push(
      fail(
        'gpu',
        `no GPU is found for ${blind.join(', ')}${said === '' ? '' : `; there is ${said}`}`,
        'install its driver, let the gateway’s user open /dev/dri/renderD*, name devices that are there, or set gpu: cpu',
      ),
    );
  else if (gpus.length > 0) findings.push(ok('gpu', said));
  else if (wanted.includes('cuda'))
    findings.push(
      fail('gpu', 'a model asks for cuda, and nvidia-smi shows no GPU', 'install the driver, or set gpu: cpu'),
    );
  else
    findings.push(ok('gpu', hasDriver ? 'the driver is there and shows no GPU' : 'none: models run on the processor'));
  if (needsCuda && !cuda.some(isWhole)) {
    const best = cuda.find(({ isInstalled }) => isInstalled);
    const what =
      best === undefined ? 'the engine’s package for CUDA is not installed' : `${best.missing.join(', ')} not found`;
    const todo =
      best === undefined
        ? 'npm ci without --omit=optional: @node-llama-cpp/linux-x64-cuda, and -cuda-ext for CUDA 12'
        : 'install the CUDA 13 (or 12) runtime and cuBLAS, or name their folder in LD_LIBRARY_PATH';
    findings.push((wanted.includes('cuda') ? fail : warn)('cuda', what, todo));
  } else if (needsCuda && hasDriver && !hasUvm)
    findings.push(
      (wanted.includes('cuda') ? fail : warn)(
        'cuda',
        '/dev/nvidia-uvm is not there, and in the sandbox nothing makes it',
        'run `nvidia-modprobe -u -c 0` at each boot before the gateway starts',
      ),
    );
  else if (needsCuda) findings.push(ok('cuda', 'the engine’s package and its libraries are there'));
  if (wanted.includes('vulkan'))
    findings.push(
      isWhole(vulkan)
        ? ok('vulkan', 'the engine’s package and its loader are there')
        : fail(
            'vulkan',
            vulkan.isInstalled
              ? `${vulkan.missing.join(', ')} not found`
              : 'the engine’s package for Vulkan is not installed',
            vulkan.isInstalled
              ? 'install the Vulkan loader and the GPU’s driver for it'
              : 'npm ci without --omit=optional',
          ),
    );
  if (keepsKernels === false && gpus.length > 0)
    findings.push(
      warn(
        'kernels',
        'what is compiled for this GPU at a load is not kept: each load takes as long as the first',
        'install bubblewrap, or set CUDA_CACHE_PATH to a folder outside of the data folder, all of whose parents are mode 711 or wider',
      ),
    );
  return findings;
}
