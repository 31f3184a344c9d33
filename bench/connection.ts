import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { LoadJob } from './load-job.ts';

/** One connection of a load, ready for requests. */
export function connectTo({ port, ca }: Pick<LoadJob, 'port' | 'ca'>): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket =
      ca === null
        ? connectPlain({ host: '127.0.0.1', port, noDelay: true }, () => resolve(socket))
        : connectTls({ host: '127.0.0.1', port, ca, servername: 'localhost', minVersion: 'TLSv1.3' }, () => {
            socket.setNoDelay(true);
            resolve(socket);
          });
    socket.once('error', reject);
  });
}
