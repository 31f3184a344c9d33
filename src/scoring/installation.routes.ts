import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { InstallationDesk } from './installation.ts';
import { ActivateRequest, InstallAnswer, InstalledList, InstallRequest, ModelPath } from './scoring.contract.ts';

const BODY_LIMIT = 1024 * 1024;
const directory = () => ({ type: 'catalogue', id: 'score_models' });

/** Which models score encrypted customers: every change needs a fresh second factor. */
export function installationRoutes(installation: InstallationDesk): Route[] {
  return [
    route({
      id: 'admin.scoring.models',
      method: 'GET',
      path: '/admin/scoring/models',
      summary: 'Every installed version of every score model',
      access: { action: 'models.inspect', resource: directory, denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      response: InstalledList,
      handle: async () => {
        const data = (await installation.all()).map(({ document, installedBy, installedAt, ...model }) => ({
          ...model,
          title: document.title,
          kind: document.kind,
          installed_by: installedBy,
          installed_at: installedAt,
        }));
        const answer: InstalledList = { object: 'list', data };
        return { kind: 'json', body: answer };
      },
    }),
    route<undefined, undefined, InstallRequest>({
      id: 'admin.scoring.install',
      method: 'POST',
      path: '/admin/scoring/models',
      summary: 'Install a score model: checked, tested under encryption, and active at once',
      access: {
        action: 'score_model.install',
        resource: ({ body }) => ({ type: 'service', id: body.document.id }),
        denial: 'forbidden',
      },
      credentials: 'session',
      stepUp: (_admin, { body: { document } }) =>
        `Install version ${document.version} of the score model ${document.id} (${document.kind}, ${document.features.length} features)`,
      counts: 'none',
      records: 'full',
      body: InstallRequest,
      bodyLimit: BODY_LIMIT,
      response: InstallAnswer,
      handle: async ({ body: { document, classification }, principal, requestId }) => {
        const by = { subject: principal.subject, request: requestId };
        const { sha256, worst, cost } = await installation.install(document, classification, by);
        const answer: InstallAnswer = {
          id: document.id,
          version: document.version,
          sha256,
          self_test: { max_error: worst, cpu_us: cost },
        };
        return { kind: 'json', status: 201, body: answer };
      },
    }),
    route<{ id: string }, undefined, ActivateRequest>({
      id: 'admin.scoring.activate',
      method: 'POST',
      path: '/admin/scoring/models/:id/activate',
      summary: 'Make another installed version the active one, or none',
      access: {
        action: 'score_model.activate',
        resource: ({ params }) => ({ type: 'service', id: params.id }),
        denial: 'forbidden',
      },
      credentials: 'session',
      stepUp: (_admin, { params, body }) =>
        body.version === null
          ? `Take the score model ${params.id} out of service`
          : `Make version ${body.version} of the score model ${params.id} the active one`,
      counts: 'none',
      records: 'full',
      params: ModelPath,
      body: ActivateRequest,
      handle: async ({ params, body, principal, requestId }) => {
        await installation.activate(params.id, body.version, { subject: principal.subject, request: requestId });
        return { kind: 'empty' };
      },
    }),
  ];
}
