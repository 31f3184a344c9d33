import type { Registry } from 'prom-client';
import { gauge } from './gauge.prometheus.ts';

/** The servers behind a model that runs elsewhere, and what its answers are found to be. */
export interface UpstreamReadings {
  readonly replicas: readonly {
    readonly name: string;
    readonly state: string;
    readonly resting: boolean;
    readonly busy: number;
    readonly answers: number;
    readonly failures: number;
    readonly takenOver: number;
  }[];
  readonly miscounted: number;
  readonly misnamed: number;
}

type Server = UpstreamReadings['replicas'][number];

/** One series a server, by host and port. Counts begin when the model is put in service. */
export function upstreamGauges(
  registry: Registry,
  models: () => readonly { readonly id: string; readonly upstream?: UpstreamReadings }[],
): void {
  const ofServer = (name: string, help: string, of: (server: Server) => number) =>
    gauge(
      registry,
      `strongroom_upstream_${name}`,
      help,
      (set) => {
        for (const { id: model, upstream } of models())
          for (const server of upstream?.replicas ?? []) set({ model, server: server.name }, of(server));
      },
      ['model', 'server'],
    );
  const ofModel = (name: string, help: string, of: (upstream: UpstreamReadings) => number) =>
    gauge(
      registry,
      `strongroom_upstream_${name}`,
      help,
      (set) => {
        for (const { id: model, upstream } of models()) if (upstream !== undefined) set({ model }, of(upstream));
      },
      ['model'],
    );
  ofServer('up', '1 while questions are sent there; 0 while its circuit is open or half open.', ({ state }) =>
    state === 'closed' ? 1 : 0,
  );
  ofServer('resting', '1 while it has asked for a pause (Retry-After).', ({ resting }) => (resting ? 1 : 0));
  ofServer('busy', 'Questions that it answers now, of this gateway.', ({ busy }) => busy);
  ofServer('answers', 'Complete answers.', ({ answers }) => answers);
  ofServer('failures', 'Questions that failed there.', ({ failures }) => failures);
  ofServer('taken_over', 'Questions that came from another server that could not take them.', (one) => one.takenOver);
  ofModel('miscounted', 'Answers whose usage could not be: our own count was taken.', (one) => one.miscounted);
  ofModel('misnamed', 'Answers that named another model than was asked for.', (one) => one.misnamed);
}
