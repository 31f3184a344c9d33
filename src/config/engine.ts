import { z } from 'zod';
import { ROLES } from '#kernel/principal.ts';

const Share = z.number().int().min(1).max(100);

/** `engine`: how models run on this machine. */
export const EngineSettings = z
  .strictObject({
    sandbox: z
      .enum(['required', 'preferred', 'off'])
      .optional()
      .describe(
        'required: no start without bubblewrap or a user id of its own (the default with a database of your own); preferred: the best there is; off: the least, untried.',
      ),
    ramPercent: Share.default(80).describe('Share of this machine’s memory that models may take.'),
    vramPercent: Share.default(80).describe('Share of each GPU’s memory that models may take.'),
    ramBytes: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('The same in bytes, where a share does not fit; it goes before ramPercent.'),
    idleUnloadSeconds: z
      .number()
      .int()
      .min(0)
      .max(31_536_000)
      .default(0)
      .describe('An unpinned model that nobody has asked for so long leaves memory; 0: never.'),
    drainSeconds: z
      .number()
      .int()
      .min(0)
      .max(3600)
      .default(30)
      .describe('How long running answers may go on when their model is unloaded.'),
    loadWaitMs: z
      .number()
      .int()
      .min(0)
      .max(600_000)
      .default(30_000)
      .describe('How long a request waits for a model that has to come into memory.'),
    batchRoles: z
      .array(z.enum(ROLES))
      .default(['service'])
      .describe(
        'Whoever has no other role waits behind people where a model is busy, though never behind more than four in a row; so does a request with service_tier flex.',
      ),
  })
  .prefault({});
export type EngineSettings = z.infer<typeof EngineSettings>;
