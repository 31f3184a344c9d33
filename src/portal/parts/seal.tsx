import { useMemo } from 'preact/hooks';
import { type RosetteShape, rosettePath, sealShapes } from '#portal/rosette.ts';

const EMBLEM: readonly RosetteShape[] = [
  { lobes: 16, strands: 9, middle: 85, swing: 13, twist: 0.12 },
  { lobes: 10, strands: 10, middle: 55, swing: 19, twist: 0.2 },
  { lobes: 6, strands: 8, middle: 22, swing: 13, twist: 0.14 },
];

/** The product's own line work, or the seal of one hash. Decoration: it says nothing that the words beside it do not. */
export function Seal({ hash }: { readonly hash?: string }) {
  const paths = useMemo(() => (hash === undefined ? EMBLEM : sealShapes(hash)).map(rosettePath), [hash]);
  return (
    <svg class="seal" viewBox="-101 -101 202 202" aria-hidden="true">
      {paths.map((path) => (
        <path key={path.length} d={path} />
      ))}
    </svg>
  );
}
