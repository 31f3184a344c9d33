import { z } from 'zod';

const timeZones = new Set([...Intl.supportedValuesOf('timeZone'), 'UTC']);

/** `access`: what the time windows and network zones of policies mean in this house. */
export const Access = z
  .strictObject({
    timeZone: z
      .string()
      .refine((zone) => timeZones.has(zone), 'must be an IANA time zone')
      .optional()
      .describe('Zone in which policies state hours; default: that of quota.timeZone.'),
    networkZones: z
      .record(
        z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'lower-case letters, digits and -'),
        z.array(z.string().regex(/^[0-9a-fA-F:.]+\/\d{1,3}$/, 'must be a network like 10.1.0.0/16')).min(1),
      )
      .default({})
      .describe('Networks by the names that policies use: {branch: [10.1.0.0/16, "fd00:1::/32"]}.'),
  })
  .prefault({});
