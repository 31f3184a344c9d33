import { z } from 'zod';

/** The audit log: what it is called, how long its bodies are kept, how much room it has. */
export const Audit = z
  .strictObject({
    origin: z
      .string()
      .regex(/^[!-*,-~]{1,200}$/, 'must be printable, without spaces and +')
      .default('localhost/strongroom')
      .describe('Name of this log in its checkpoints, for good: a host of yours and a path, without a scheme.'),
    retentionDays: z
      .number()
      .int()
      .min(184, 'must be 184 or more')
      .max(36_500)
      .default(400)
      .describe('Days after which `audit retain` drops the bodies of records; their hashes stay.'),
    capacityBytes: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('Room that the log has on a database of your own, for the metric of days until it is full.'),
  })
  .prefault({});
