import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';

/**
 * Promise 7, for `tls.createServer` and `server.setSecureContext` alike (the latter starts from nothing, so it needs
 * every one of these again together with the new certificate).
 *
 * Early data (0-RTT) is not a thing that Node can switch on. Tickets: `certs/openssl.cnf`, which the launcher passes,
 * keeps the server from sending any; without it SSL_OP_NO_TICKET still makes those it sends worthless, since they only
 * name a session in a store that there is none of.
 */
export const TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // A list of tuples: `/` makes the server insist on this preference (asking again with HelloRetryRequest if it must),
  // where `:` would take whatever key share the client happened to send. The hybrids hold against recorded traffic.
  ecdhCurve: 'X25519MLKEM768 / SecP256r1MLKEM768 / P-256',
  ciphers: 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
  honorCipherOrder: true,
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  handshakeTimeout: 10_000,
} as const satisfies TlsOptions;
