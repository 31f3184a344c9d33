import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

type Bytes = Buffer;

/** What a browser would say of the page, and an authenticator of itself; each may be a lie. */
export interface Lies {
  readonly origin?: string;
  readonly rpId?: string;
  readonly challenge?: string;
  readonly type?: string;
  readonly crossOrigin?: boolean;
  /** The user is not verified: only his presence. */
  readonly unverified?: boolean;
  readonly absent?: boolean;
  readonly count?: number;
  /** Signs with a key that is not its own. */
  readonly forged?: boolean;
  readonly userHandle?: string;
  /** Attestation in a format that was not asked for. */
  readonly format?: string;
  /** The credential that it has already, once more. */
  readonly again?: boolean;
}

interface Credential {
  readonly id: Bytes;
  readonly key: KeyObject;
  readonly userHandle: string;
}

interface CreationOptions {
  readonly rp: { readonly id: string };
  readonly user: { readonly id: string };
  readonly challenge: string;
}
interface RequestOptions {
  readonly challenge: string;
  readonly rpId: string;
}

/** An authenticator in software: ES256, one credential, a counter that grows by one. */
export class SoftAuthenticator {
  readonly #origin: string;
  #credential: Credential | null = null;
  count = 0;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** `navigator.credentials.create(…).toJSON()` */
  create({ rp, user, challenge }: CreationOptions, lies: Lies = {}) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    const id = lies.again ? this.#known.id : randomBytes(32);
    // {1: EC2, 3: ES256, -1: P-256, -2: x, -3: y}
    const point = (text: string) => Buffer.concat([Buffer.from('5820', 'hex'), Buffer.from(text, 'base64url')]);
    const cose = Buffer.concat([
      Buffer.from('a50102032620', 'hex'),
      Buffer.from('01', 'hex'),
      Buffer.from('21', 'hex'),
      point(x),
      Buffer.from('22', 'hex'),
      point(y),
    ]);
    this.#credential = { id, key: privateKey, userHandle: user.id };
    const length = Buffer.from([id.length >> 8, id.length & 255]);
    const attested = Buffer.concat([Buffer.alloc(16), length, id, cose]);
    const data = Buffer.concat([this.#head(rp.id, 0x40, lies), attested]);
    const { format = 'none' } = lies;
    const attestationObject = Buffer.concat([
      Buffer.from('a3', 'hex'),
      text('fmt'),
      text(format),
      text('attStmt'),
      // Certificates that nobody asked for: an array with one of them.
      format === 'none'
        ? Buffer.from('a0', 'hex')
        : Buffer.concat([Buffer.from('a1', 'hex'), text('x5c'), CERTIFICATE]),
      text('authData'),
      Buffer.from([0x59, data.length >> 8, data.length & 255]),
      data,
    ]);
    return {
      ...this.#named(id),
      response: {
        clientDataJSON: this.#clientData('webauthn.create', challenge, lies),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['usb'],
      },
    };
  }

  /** `navigator.credentials.get(…).toJSON()` */
  get({ challenge, rpId }: RequestOptions, lies: Lies = {}) {
    const { id, key, userHandle } = this.#known;
    this.count = lies.count ?? this.count + 1;
    const data = this.#head(rpId, 0, lies);
    const clientDataJSON = this.#clientData('webauthn.get', challenge, lies);
    const hash = createHash('sha256').update(Buffer.from(clientDataJSON, 'base64url')).digest();
    const signer = lies.forged ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : key;
    return {
      ...this.#named(id),
      response: {
        clientDataJSON,
        authenticatorData: data.toString('base64url'),
        signature: sign('sha256', Buffer.concat([data, hash]), signer).toString('base64url'),
        userHandle: lies.userHandle ?? userHandle,
      },
    };
  }

  get #known(): Credential {
    if (this.#credential === null) throw new Error('nothing is registered');
    return this.#credential;
  }

  #named(id: Bytes) {
    const name = id.toString('base64url');
    return { id: name, rawId: name, type: 'public-key' as const, clientExtensionResults: {} };
  }

  /** Authenticator data, section 6.1: hash of the relying party, flags, counter. */
  #head(rpId: string, flags: number, { rpId: lie, unverified, absent }: Lies): Bytes {
    const head = Buffer.alloc(37);
    createHash('sha256')
      .update(lie ?? rpId)
      .digest()
      .copy(head);
    head[32] = flags | (absent ? 0 : 1) | (unverified ? 0 : 4);
    head.writeUInt32BE(this.count, 33);
    return head;
  }

  #clientData(type: string, challenge: string, lies: Lies): string {
    const data = {
      type: lies.type ?? type,
      challenge: lies.challenge ?? challenge,
      origin: lies.origin ?? this.#origin,
      crossOrigin: lies.crossOrigin ?? false,
    };
    return Buffer.from(JSON.stringify(data)).toString('base64url');
  }
}

/** A CBOR text of less than 24 bytes. */
const text = (value: string): Bytes => Buffer.concat([Buffer.from([0x60 + value.length]), Buffer.from(value)]);
const CERTIFICATE = Buffer.from('814430030101', 'hex');
