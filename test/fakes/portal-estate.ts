import type { User } from '#identity/identity.contract.ts';
import type { AdminModelList, ModelList } from '#models/models.contract.ts';

/** Who and what the fake gateway knows. */
const person = (username: string, roles: User['roles'], has_totp = false): User => ({
  id: `usr_${username}`,
  username,
  roles,
  attributes: { department: 'risk', clearance: 2 },
  has_totp,
});
export const USERS = [
  person('analyst', ['analyst']),
  person('auditor', ['auditor']),
  person('admin', ['admin'], true),
  person('everyone', ['analyst', 'auditor', 'admin'], true),
];

export const MODELS: ModelList = {
  object: 'list',
  data: [
    { id: 'demo', object: 'model', created: 1_790_000_000, owned_by: 'bank', context_length: 2048, state: 'ready' },
    {
      id: 'qwen3-32b-instruct',
      object: 'model',
      created: 1_790_000_000,
      owned_by: 'bank',
      context_length: 32_768,
      state: 'unloaded',
    },
  ],
};

const adminModel = (id: string, rest: Partial<AdminModelList['data'][number]>): AdminModelList['data'][number] => ({
  id,
  engine: 'llama',
  state: 'ready',
  context_size: 32_768,
  max_output_tokens: 4096,
  digest: '3b1f0ce9f8a2d6c47e5b9a01d2c3f4e5a6b7c8d9e0f1a2b3c4d5e6f708192a3b',
  template_digest: null,
  classification: 2,
  slots: 8,
  busy: 5,
  queued: 0,
  pid: 20_481,
  restarts: 0,
  ...rest,
});
export const ADMIN_MODELS: AdminModelList = {
  instance: 'gw-1.risk.bank.example',
  data: [
    adminModel('demo', { context_size: 2048, slots: 4, busy: 1 }),
    adminModel('qwen3-32b-instruct', { queued: 3, slots: 8, busy: 8, restarts: 2 }),
    adminModel('deepseek-r1-distill-70b', { state: 'loading', busy: 0, pid: 20_977 }),
    adminModel('vllm-cluster', {
      engine: 'upstream',
      state: 'failed',
      digest: null,
      pid: null,
      slots: 64,
      busy: 0,
      context_size: null,
    }),
  ],
};
