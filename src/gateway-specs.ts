import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { adapterId, type LocalModelConfig } from '#config/models.ts';
import { defaultThreads, type LlamaModelSpec } from '#engine/model-spec.ts';
import { sha256Hex } from '#kernel/id.ts';

/**
 * A model of our own, and with each of its adapters another one.
 *
 * @param devices GPUs of one that names none, as CUDA_VISIBLE_DEVICES names them
 * @throws Error for a file that is not the approved one
 */
export async function specsOf(
  id: string,
  model: LocalModelConfig,
  base: string,
  devices?: string,
): Promise<LlamaModelSpec[]> {
  const { cudaDevices = devices } = model;
  const spec = {
    ...(await localSpec(id, model, base)),
    ...(cudaDevices === undefined ? {} : { devices: cudaDevices }),
  };
  // What foresees the model's words does not foresee those of another one as well.
  const { draft: _, ...bare } = spec;
  const adapters = Object.entries(model.adapters).map(([name, { file, sha256, scale, parallel }]) => ({
    ...bare,
    id: adapterId(id, name),
    parallel: parallel ?? spec.parallel,
    adapter: { name, file: resolve(base, file), sha256, scale },
  }));
  return [spec, ...adapters];
}

async function localSpec(id: string, model: LocalModelConfig, base: string): Promise<LlamaModelSpec> {
  const { chatTemplateFile, chatTemplateSha256, approvedTemplateSha256 } = model;
  const chatTemplate =
    chatTemplateFile === undefined
      ? undefined
      : await approvedText(resolve(base, chatTemplateFile), chatTemplateSha256);
  if (chatTemplate === null)
    throw new Error(`model '${id}': the chat template is not the one that chatTemplateSha256 names`);
  return {
    id,
    file: resolve(base, model.file),
    sha256: model.sha256,
    chatTemplate: chatTemplate ?? null,
    embedding: model.embedding,
    ...(approvedTemplateSha256 === undefined ? {} : { approvedTemplateSha256 }),
    ...(model.draft === undefined ? {} : { draft: { ...model.draft, file: resolve(base, model.draft.file) } }),
    contextSize: model.contextSize,
    parallel: model.parallel,
    maxOutputTokens: Math.min(model.maxOutputTokens, model.contextSize),
    threads: model.threads ?? defaultThreads(availableParallelism()),
    gpu: model.gpu,
    gpuLayers: model.gpuLayers,
    ...(model.vulkanDevices === undefined ? {} : { vulkanDevices: model.vulkanDevices }),
    kvType: model.kvType,
    flashAttention: model.flashAttention,
    prefillChunk: model.prefillChunk,
    maxBatchSize: model.maxBatchSize,
    maxWaitMs: model.maxWaitMs,
    systemPrompts: await Promise.all(
      model.systemPrompts.map(async ({ file, sha256 }) => {
        const text = await approvedText(resolve(base, file), sha256);
        if (text === null) throw new Error(`model '${id}': a system prompt is not the approved one (${file})`);
        return text.replace(/\r?\n$/, '');
      }),
    ),
  };
}

/** Null where its digest is another one. */
async function approvedText(file: string, sha256: string | undefined): Promise<string | null> {
  const text = await readFile(file, 'utf8');
  return sha256 === undefined || sha256Hex(text) === sha256 ? text : null;
}
