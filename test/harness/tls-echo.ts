// A bare TLS server with the product's options, run as `strongroom.mjs --node test/harness/tls-echo.ts CERT KEY`, so
// that what clients meet includes what the launcher adds. Prints its port, answers a byte, ends with its input.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';
import { TLS_OPTIONS } from '#tls/tls-options.ts';

const [certFile = '', keyFile = ''] = process.argv.slice(2);

const server = createServer({ ...TLS_OPTIONS, cert: readFileSync(certFile), key: readFileSync(keyFile) }, (socket) => {
  socket.on('error', () => undefined);
  socket.write(socket.isSessionReused() ? 'R' : 'N');
});
server.on('tlsClientError', () => undefined);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
process.stdin.resume().on('end', () => process.exit(0));
