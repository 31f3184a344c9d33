import { createHash, randomBytes } from 'node:crypto';
import type { AdminModel, AdminModelList, ModelList } from '#models/models.contract.ts';
import type { Call, StepUps } from './portal-call.ts';
import { json, problem } from './portal-reply.ts';

export const MODELS: ModelList = {
  object: 'list',
  data: [
    {
      id: 'demo',
      object: 'model',
      created: 1_790_000_000,
      owned_by: 'bank',
      context_length: 2048,
      state: 'ready',
      capabilities: ['chat', 'completions'],
    },
    {
      id: 'qwen3-32b-instruct',
      object: 'model',
      created: 1_790_000_000,
      owned_by: 'bank',
      context_length: 32_768,
      state: 'unloaded',
      capabilities: ['chat', 'completions'],
    },
  ],
};

const adminModel = (id: string, rest: Partial<AdminModel>): AdminModel => ({
  id,
  engine: 'llama',
  state: 'ready',
  context_size: 32_768,
  max_output_tokens: 4096,
  digest: '3b1f0ce9f8a2d6c47e5b9a01d2c3f4e5a6b7c8d9e0f1a2b3c4d5e6f708192a3b',
  adapter: null,
  draft: null,
  template_digest: null,
  classification: 2,
  slots: 8,
  busy: 5,
  queued: 0,
  pid: 20_481,
  restarts: 0,
  in_service: true,
  pinned: false,
  progress: null,
  quarantine: null,
  replicas: null,
  memory: { estimated: { ram: 21_474_836_480, vram: 0 }, measured: { ram: 20_401_094_656, vram: 0 } },
  backend: 'cpu',
  gpu_layers: { planned: 0, loaded: 0, of: 65 },
  ...rest,
});

const digestOf = (name: string) => createHash('sha256').update(name).digest('hex');

const draftOf = (rest: Partial<NonNullable<AdminModel['draft']>>): AdminModel['draft'] => ({
  digest: digestOf('draft'),
  foreseen: 0,
  right: 0,
  use: 'untried',
  costs: { drafted: null, plain: null },
  ...rest,
});

const WORDS: Readonly<Record<string, string>> = { load: 'Load', unload: 'Unload', pin: 'Pin', unpin: 'Unpin' };

const MACHINE = {
  sandbox: 'full' as const,
  memory: { budget: { ram: 109_951_162_777, vram: 0 }, used: { ram: 85_899_345_920, vram: 0 } },
  // One of which somebody tells what is in use, and one that the engine alone finds.
  gpus: [
    { index: 0, name: 'NVIDIA H200', total: 150_754_820_096, used: 75_377_410_048 },
    { index: 1, name: 'NVIDIA H200 MIG 1g.18gb', total: 17_179_869_184, used: null },
  ],
};

/** The models of one replica: what an admin sets comes about a moment later. */
export class PortalEstate {
  /** Milliseconds that a model takes to come or to go. */
  moveMs = 1500;
  /** Whether there are other replicas. */
  isAlone = true;
  #models = [
    adminModel('demo', { context_size: 2048, slots: 4, busy: 1, pinned: true }),
    adminModel('demo+letters', {
      context_size: 2048,
      slots: 4,
      busy: 0,
      adapter: { name: 'letters', digest: digestOf('letters'), scale: 0.75 },
      memory: {
        estimated: { ram: 268_435_456, vram: 3_221_225_472 },
        measured: { ram: 247_000_000, vram: 3_006_477_107 },
      },
    }),
    adminModel('qwen3-32b-instruct', {
      queued: 3,
      slots: 8,
      busy: 8,
      restarts: 2,
      draft: draftOf({ foreseen: 12_480, right: 9984, use: 'crowded' }),
    }),
    adminModel('mistral-7b', {
      busy: 0,
      draft: draftOf({ foreseen: 480, right: 211, use: 'slower', costs: { drafted: 41.28, plain: 32.5 } }),
    }),
    adminModel('deepseek-r1-distill-70b', {
      state: 'loading',
      busy: 0,
      pid: 20_977,
      progress: { phase: 'verify', done: 0.42 },
      memory: { estimated: { ram: 45_097_156_608, vram: 0 }, measured: null },
    }),
    adminModel('glm-4-9b', { state: 'unloaded', busy: 0, slots: 4, pid: null, in_service: false }),
    adminModel('vllm-cluster', {
      engine: 'upstream',
      state: 'failed',
      digest: null,
      pid: null,
      slots: 64,
      busy: 0,
      context_size: null,
    }),
  ];
  readonly #instance = 'gw-1.risk.bank.example';
  readonly #stepUps: StepUps;

  constructor(stepUps: StepUps) {
    this.#stepUps = stepUps;
  }

  list(): AdminModelList {
    return {
      instance: this.#instance,
      ...MACHINE,
      data: this.#models,
      replicas: this.isAlone ? [] : this.#replicas(),
    };
  }

  /** One that does the same, one without the newest model, one of another release. */
  #replicas(): AdminModelList['replicas'] {
    const [told, data] = ['2026-11-20T09:00:00.000Z', this.#models.map((model) => ({ ...model, busy: 0 }))];
    return [
      { instance: 'gw-2.risk', reported_at: told, catalogue: 'same', report: { ...MACHINE, data } },
      {
        instance: 'gw-3.risk',
        reported_at: told,
        catalogue: 'differs',
        report: { ...MACHINE, data: data.slice(0, -1) },
      },
      { instance: 'gw-4.risk', reported_at: told, catalogue: 'differs', report: null },
    ];
  }

  /** `GET /admin/models/events`: the whole, whenever it is different. */
  follow(response: Call['response']): void {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    let told = '';
    const tell = () => {
      const text = JSON.stringify(this.list());
      if (text !== told) response.write(`data: ${text}\n\n`);
      told = text;
    };
    tell();
    const timer = setInterval(tell, 100);
    response.on('close', () => clearInterval(timer));
  }

  /** `POST /admin/models/{id}/{verb}` */
  change(call: Call) {
    const [, id = '', verb = ''] = /^\/admin\/models\/([^/]+)\/(\w+)$/.exec(call.url.pathname) ?? [];
    const model = this.#models.find((known) => known.id === decodeURIComponent(id));
    const words = WORDS[verb];
    if (model === undefined || words === undefined)
      return problem(call.response, call.url.pathname, 404, 'model_not_found');
    if (!this.#stepUps.passes(call, `${words} the model ${model.id}`)) return;
    if (verb === 'pin' || verb === 'unpin') this.#put(model.id, { pinned: verb === 'pin' });
    else this.#move(model.id, verb === 'load');
    json(
      call.response,
      202,
      this.#models.find((known) => known.id === model.id),
    );
  }

  #move(id: string, inService: boolean): void {
    this.#put(id, inService ? { in_service: true, state: 'loading' } : { in_service: false });
    setTimeout(() => {
      this.#put(
        id,
        inService ? { state: 'ready', pid: randomBytes(2).readUInt16BE() } : { state: 'unloaded', pid: null },
      );
    }, this.moveMs).unref();
  }

  #put(id: string, part: Partial<AdminModel>): void {
    this.#models = this.#models.map((model) => (model.id === id ? { ...model, ...part } : model));
  }
}
