import { useMemo } from 'preact/hooks';
import { encode } from 'uqr';
import { qrPath } from '#portal/qr.ts';

/** The margin that ISO/IEC 18004 asks for, in modules. */
const QUIET_ZONE = 4;

/** Dark on light in either colour scheme: not every camera reads it the other way round. */
export function QrCode({ value, label }: { readonly value: string; readonly label: string }) {
  const { size, path } = useMemo(() => {
    const code = encode(value, { ecc: 'M', border: QUIET_ZONE });
    return { size: code.size, path: qrPath(code.data) };
  }, [value]);
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label}>
      <path d={path} />
    </svg>
  );
}
