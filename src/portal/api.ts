import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { retryAfter } from './format.ts';
import { en } from './i18n/en.ts';
import { Refusal, type RefusalCode, readRefusal } from './refusal.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  readonly body?: unknown;
  /** Instead of `body`: bytes of a media type. */
  readonly bytes?: { readonly type: string; readonly data: Uint8Array<ArrayBuffer> };
  readonly signal?: AbortSignal;
  /** Of POST /auth/step-up: confirms this very call, once. */
  readonly proof?: string;
}

/** Calls the gateway that served this page. Every failure is a Refusal, but for an abort, which stays an AbortError. */
export interface Api {
  send<T>(method: Method, path: string, options?: CallOptions): Promise<T>;
  /** As `send`, but hands out the answer unread: for streams. Only answers with a status of 2xx get here. */
  open(method: Method, path: string, options?: CallOptions): Promise<Response>;
}

export interface ApiDeps {
  readonly fetch: typeof fetch;
  readonly now: () => number;
  /** The session is gone: the server no longer knows us. */
  readonly onSessionEnd: () => void;
  /** True as soon as a call is refused since the audit log can't be written, false when a recorded call succeeds. */
  readonly onAuditState: (down: boolean) => void;
}

/** A 401 of these codes is an answer to a question that was asked, not the end of the session. */
const ANSWERS: readonly RefusalCode[] = [
  'invalid_credentials',
  'code_required',
  'code_used',
  'step_up_required',
  'too_many_attempts',
];
/** Not recorded, so their success says nothing about the log. */
const UNRECORDED = /^\/(v1\/(models|usage)|auth\/(session|methods)|admin\/models(\/events)?$)/;

const isKnown = (code: string): code is RefusalCode => Object.hasOwn(en.problems, code);

export function createApi(deps: ApiDeps): Api {
  const open: Api['open'] = async (method, path, { body, bytes, signal, proof } = {}) => {
    const headers = new Headers({ accept: 'application/json' });
    if (body !== undefined) headers.set('content-type', 'application/json');
    if (bytes !== undefined) headers.set('content-type', bytes.type);
    if (proof !== undefined) headers.set('step-up-proof', proof);
    let response: Response;
    try {
      response = await deps.fetch(path, {
        method,
        headers,
        credentials: 'same-origin',
        cache: 'no-store',
        redirect: 'error',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(bytes === undefined ? {} : { body: bytes.data }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      throw aborted(error) ? error : new Refusal('offline');
    }
    if (response.ok) {
      if (!UNRECORDED.test(path)) deps.onAuditState(false);
      return response;
    }
    const text = await response.text().catch(() => '');
    const { code, detail } = readRefusal(text, response.status, isKnown);
    if (code === 'audit_unavailable') deps.onAuditState(true);
    if (response.status === 401 && !ANSWERS.includes(code)) deps.onSessionEnd();
    throw new Refusal(code, {
      ...detail,
      retryAfter: retryAfter(response.headers.get('retry-after'), deps.now()),
      requestId: response.headers.get('x-request-id'),
    });
  };
  return {
    open,
    async send<T>(method: Method, path: string, options?: CallOptions) {
      const response = await open(method, path, options);
      if (response.status === 204) return undefined as T;
      try {
        const text = await response.text();
        return (text === '' ? undefined : JSON.parse(text)) as T;
      } catch (error) {
        throw aborted(error) ? error : Refusal.from(error);
      }
    },
  };
}

export const aborted = (error: unknown): boolean => error instanceof DOMException && error.name === 'AbortError';

const none = (): Promise<never> => Promise.reject(new Refusal('offline'));
export const ApiContext = createContext<Api>({ send: none, open: none });
export const useApi = (): Api => useContext(ApiContext);
