/**
 * The line work of a banknote, as an SVG path around (0, 0) within a radius of 100. A seal is drawn from a hash, so that
 * two records that differ look different at a glance; the eye is a courtesy, the comparison is done on the bytes.
 */
export interface RosetteShape {
  readonly lobes: number;
  readonly strands: number;
  /** Middle of the band and half its width, in the same units as the radius. */
  readonly middle: number;
  readonly swing: number;
  /** How deep the second harmonic bites, 0 to 1. */
  readonly twist: number;
}

/** Straight pieces per lobe: enough that the eye sees a curve. */
const FINENESS = 36;

export function rosettePath(shape: RosetteShape): string {
  const steps = shape.lobes * FINENESS;
  let path = '';
  for (let strand = 0; strand < shape.strands; strand++) {
    const phase = (strand / shape.strands) * 2 * Math.PI;
    for (let step = 0; step < steps; step++) {
      const angle = (step / steps) * 2 * Math.PI;
      const wave =
        Math.sin(shape.lobes * angle + phase) * (1 - shape.twist) +
        Math.sin(2 * shape.lobes * angle - phase) * shape.twist;
      const radius = shape.middle + shape.swing * wave;
      path += `${step === 0 ? 'M' : 'L'}${(radius * Math.cos(angle)).toFixed(1)} ${(radius * Math.sin(angle)).toFixed(1)}`;
    }
    path += 'Z';
  }
  return path;
}

/** Two bands whose numbers are bytes of the hash. */
export function sealShapes(hex: string): readonly [RosetteShape, RosetteShape] {
  const byte = (index: number): number => Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16) || 0;
  return [
    {
      lobes: 7 + (byte(0) % 9),
      strands: 3 + (byte(1) % 3),
      middle: 74,
      swing: 14 + (byte(2) % 10),
      twist: byte(3) / 512,
    },
    {
      lobes: 3 + (byte(4) % 8),
      strands: 3 + (byte(5) % 3),
      middle: 34,
      swing: 12 + (byte(6) % 12),
      twist: byte(7) / 512,
    },
  ];
}
