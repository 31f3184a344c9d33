import { Gauge, type Registry } from 'prom-client';

type Setter = (labels: Record<string, string>, value: number) => void;

/** A gauge that is read when it is asked for. */
export function gauge(
  registry: Registry,
  name: string,
  help: string,
  read: (set: Setter) => void,
  labelNames: string[] = [],
): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      read((labels, value) => this.set(labels, value));
    },
  });
}
