import type { Client } from 'pg';
import type { Log } from '#kernel/log.ts';
import { destroyConnection, openConnection } from '#postgres/connection.ts';

export interface PolicyNewsOptions {
  readonly url: string;
  readonly caFile: string | undefined;
  /** Called after each message, and once whenever listening begins anew, since some may have been missed. */
  readonly onNews: () => Promise<void>;
  readonly log: Log;
}

const RETRY_MS = 5_000;

/**
 * Hears of new policies, so that they are compiled before the next request asks for them. Nothing depends on it: a
 * message that is lost is found out at that request's admission.
 */
export class PolicyNews implements Disposable {
  readonly #options: PolicyNewsOptions;
  #client: Client | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: PolicyNewsOptions) {
    this.#options = options;
    void this.#open();
  }

  async #open(): Promise<void> {
    const { url, caFile, log } = this.#options;
    try {
      const options = { applicationName: 'strongroom-policy-news', ...(caFile === undefined ? {} : { caFile }) };
      const client = await openConnection(url, options);
      if (this.#closed) return destroyConnection(client);
      client.on('notification', () => this.#hear());
      client.once('end', () => this.#again());
      this.#client = client;
      await client.query('LISTEN strongroom_policy');
      this.#hear();
    } catch (error) {
      log.debug('news of policies can not be heard yet', { error });
      this.#again();
    }
  }

  #hear(): void {
    this.#options.onNews().catch((error: unknown) => this.#options.log.warn('a new policy did not load', { error }));
  }

  #again(): void {
    if (this.#closed || this.#retry !== null) return;
    this.#client = null;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.#open();
    }, RETRY_MS);
    this.#retry.unref();
  }

  /** Cuts the connection: a frozen server would not answer a farewell. */
  [Symbol.dispose](): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#client !== null) destroyConnection(this.#client);
  }
}
