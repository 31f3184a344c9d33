import type { GpuUse } from '#engine/gpu.ts';

/** A file of /dev, as far as it matters who may open it. */
export interface DeviceFile {
  readonly mode: number;
  readonly gid: number;
}

/** Where a GPU computes, and not only shows a screen: a server's own graphics have none of these. */
const isRenderNode = (name: string): boolean => name.startsWith('renderD');

/**
 * What a child sees of /dev that wants a GPU: NVIDIA's files, those of its slices (`nvidia-caps`) among them, and the
 * kernel's own folder of graphics, by which Vulkan finds everybody else's.
 *
 * @param names of what lies in /dev
 * @param graphics names of what lies in /dev/dri
 */
export const gpuDevices = (names: readonly string[], graphics: readonly string[]): string[] =>
  names.filter((name) => name.startsWith('nvidia') || (name === 'dri' && graphics.some(isRenderNode)));

export const renderNodes = (graphics: readonly string[]): string[] => graphics.filter(isRenderNode);

/** Groups without which a user id of its own can't open these; not root's, to which too much else belongs. */
export const groupsFor = (files: readonly DeviceFile[]): number[] => [
  ...new Set(
    files
      .filter(({ mode, gid }) => gid !== 0 && (mode & 0o006) !== 0o006 && (mode & 0o060) === 0o060)
      .map(({ gid }) => gid),
  ),
];

/** What a child sees of the system's libraries without being told. */
const SHOWN = /^\/(usr|lib|lib64)(\/|$)/;

/**
 * Folders outside of those that the linker looks in as well, `/opt/cuda/lib64` say.
 *
 * @param texts of ld.so.conf and what it includes
 */
export const linkerFolders = (texts: readonly string[]): string[] => {
  const lines = texts.flatMap((text) => text.split('\n').map((line) => line.replace(/#.*/, '').trim()));
  return [...new Set(lines.filter((line) => line.startsWith('/') && !SHOWN.test(line)))];
};

/** Where drivers keep what they compiled for this GPU: CUDA's, Mesa's and NVIDIA's for Vulkan. */
export const kernelCaches = (folder: string): Readonly<Record<string, string>> => ({
  CUDA_CACHE_PATH: folder,
  MESA_SHADER_CACHE_DIR: folder,
  __GL_SHADER_DISK_CACHE_PATH: folder,
});

/** By what a child is told which GPUs it may use. Numbers for CUDA are nvidia-smi's places, not its own order of speed. */
export const visibleTo = ({ devices, vulkanDevices }: GpuUse): Readonly<Record<string, string>> => ({
  ...(devices === undefined ? {} : { CUDA_VISIBLE_DEVICES: devices, CUDA_DEVICE_ORDER: 'PCI_BUS_ID' }),
  ...(vulkanDevices === undefined ? {} : { GGML_VK_VISIBLE_DEVICES: vulkanDevices }),
});
