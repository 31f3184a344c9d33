import type { Seal, SealContext } from './seal.shared.ts';

/** A pinned set of CKKS parameters: a document of ours, never something that a client sends. */
export interface ParameterSet {
  readonly schema: 'ckks-params/1';
  readonly id: string;
  /** Degree of the polynomials; half as many numbers fit into one ciphertext. */
  readonly degree: number;
  /** The primes of the modulus; the last one is for switching keys alone and never part of a ciphertext. */
  readonly primes: readonly number[];
  /** Bits of each prime: the exact width of a residue on the wire. */
  readonly bits: readonly number[];
  /** Numbers are encoded times two to this. */
  readonly scaleBits: number;
  /** A result beyond it wraps around: models whose bound is larger are refused. */
  readonly maxAbsScore: number;
  /** SEAL's own hash of each level, in hex as it stands in its bytes: of keys, of fresh ciphertexts, … of one prime. */
  readonly levels: readonly string[];
  readonly security: { readonly table: string; readonly category: number; readonly logQP: number };
}

/** SHA-256 of the canonical JSON (RFC 8785) of each document; a test makes them anew. */
export interface PinnedSet extends ParameterSet {
  readonly sha256: string;
}

const security = (logQP: number) => ({ table: 'IACR CiC 2025 5.2, uniform ternary', category: 128, logQP });

const LINEAR: PinnedSet = {
  schema: 'ckks-params/1',
  id: 'lin-4096/1',
  degree: 4096,
  primes: [68719403009, 1073692673, 1099511480321],
  bits: [36, 30, 40],
  scaleBits: 30,
  maxAbsScore: 30,
  levels: [
    '35edfe19bfa2b45cf36cce94c92c92a0edba885b662b5f51ac4287ef30194712',
    '7df327835ef1e7fc227e2e15f267ecac6d15b309b12b51368c058171d93497f8',
    '402891256b24e8720f51521419f2d52a766a59343d61a6cd33d32f295f85a5fa',
  ],
  security: security(106),
  sha256: '0deef8a83b0538118b1eda76adc55853b76dbd7fee2921debb192420c67cabc3',
};
const QUADRATIC: PinnedSet = {
  schema: 'ckks-params/1',
  id: 'quad-8192/1',
  degree: 8192,
  primes: [1125899906629633, 1099510890497, 1099511480321, 1125899906826241],
  bits: [50, 40, 40, 50],
  scaleBits: 40,
  maxAbsScore: 480,
  levels: [
    'c0bea8fab0ccf61f460d91ac74ad178ff075a4f20117851adae6cf035d375850',
    '315dd07dfed5655856f3ec27f2e9b9e9c66f3ae033ab8c5cbfe0879422ca9c8b',
    'a6dc29cc9eba7b02f2aa0785324f4e3f737cab08147ab45000adb614bc3d18f9',
    '5085e128142aabb60d9a87351b98f0c5dcf518b4901604044074f711e285f1f5',
  ],
  security: security(180),
  sha256: '24e5e66e60136e249482f095a51cd539c09738c56f39b473ad823c6ca5c8fed5',
};
const STANDARD: PinnedSet = {
  schema: 'ckks-params/1',
  id: 'std-8192/1',
  degree: 8192,
  primes: [70368743669761, 1099510824961, 1099510890497, 1099511480321, 281474976694273],
  bits: [46, 40, 40, 40, 48],
  scaleBits: 40,
  maxAbsScore: 30,
  levels: [
    '7e6acbde681d45b0218d12f13b8005358b93ebb580583e26ac9a081cec07c8ce',
    '47cd05896fb053207eeca48d98c9f2eb582ff648b9510fc6a1ae518c1c40f006',
    'a82604b603e08db82c2d3dc27c1c3e6ff1f1946695353ba2c5961aee17f67d43',
    '82a932c52a0e622b0ccd4fabdfcc7a65f56551168c4d9a6a13ed1231a5aa3a4c',
    'a0eb0f991717ae0242df5d301537a490b6aeb5c52389e55914ac8e6c175e146c',
  ],
  security: security(214),
  sha256: 'af3885ee2714ae738775d3f47a9a3fb2360f8bc97ed38c4b0c96eb88647e9049',
};

export const PARAMETER_SETS: readonly PinnedSet[] = [LINEAR, QUADRATIC, STANDARD];

export const parameterSet = (id: string): PinnedSet | undefined => PARAMETER_SETS.find((set) => set.id === id);

/** The same, for a model that has been checked. @throws RangeError */
export function setOf(id: string): PinnedSet {
  const set = parameterSet(id);
  if (set === undefined) throw new RangeError(`the parameter set ${id} is not one of ours`);
  return set;
}

/** SEAL's hash of the level at which so many primes are left. */
export const levelOf = ({ levels }: ParameterSet, primes: number): string => levels[levels.length - primes] as string;

/** Numbers in one ciphertext. */
export const slotsOf = ({ degree }: ParameterSet): number => degree / 2;

/** Primes of a fresh ciphertext: all but the special one. */
export const dataPrimes = ({ primes }: ParameterSet): number => primes.length - 1;

/**
 * SEAL's tables for a parameter set; takes 60 to 270 ms.
 *
 * @throws Error when this build of SEAL does not agree with the pinned document.
 */
export function openContext(seal: Seal, set: ParameterSet): SealContext {
  const parameters = new seal.EncryptionParameters(seal.SchemeType.ckks);
  const primes = new seal.VectorModulus();
  for (const prime of set.primes) {
    const modulus = new seal.Modulus(BigInt(prime));
    primes.push_back(modulus);
    modulus.delete();
  }
  parameters.setPolyModulusDegree(set.degree);
  parameters.setCoeffModulus(primes);
  const context = new seal.SEALContext(parameters, true, seal.SecLevelType.tc128);
  primes.delete();
  parameters.delete();
  if (context.parametersSet() && levelsOf(context, set).join() === set.levels.join()) return context;
  context.delete();
  throw new Error(`this build of SEAL does not agree with the parameter set ${set.id}`);
}

/** SEAL's hash of each level in hex, in the order of its bytes: that of keys, of fresh ciphertexts, … of results. */
export function levelsOf(context: SealContext, { primes }: ParameterSet): string[] {
  const levels: string[] = [];
  let data = context.keyContextData();
  for (let level = 0; level < primes.length; level++) {
    const id = data.parmsId();
    levels.push(hexOf(id.values()));
    id.delete();
    if (level + 1 === primes.length) break;
    const next = data.nextContextData();
    data.delete();
    data = next;
  }
  data.delete();
  return levels;
}

function hexOf(words: BigUint64Array): string {
  let text = '';
  for (const word of words) {
    for (let byte = 0n; byte < 8n; byte++)
      text += Number((word >> (8n * byte)) & 255n)
        .toString(16)
        .padStart(2, '0');
  }
  return text;
}
