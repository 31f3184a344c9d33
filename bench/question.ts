/** What the mock answers, always. */
export const ANSWER = { text: 'The vault opens at nine.', promptTokens: 14, completionTokens: 6 } as const;

/** What it streams: numbered, so that one that is lost or out of turn shows. */
export const STREAM = { everyMs: 50, token: (index: number): string => ` ${index}` } as const;

/** The model as our configuration names it. */
export const MODEL = 'mock';

/** What every client asks: a small prompt, not streamed. */
export const QUESTION = JSON.stringify({
  model: MODEL,
  messages: [
    { role: 'system', content: 'Answer in one short sentence.' },
    { role: 'user', content: 'When does the vault open?' },
  ],
  max_tokens: 32,
});

/** The same, streamed, so many tokens long. */
export const streamQuestion = (tokens: number): string =>
  JSON.stringify({
    ...JSON.parse(QUESTION),
    max_tokens: tokens,
    stream: true,
    stream_options: { include_usage: true },
  });

/** The request as it goes over the wire. */
export function requestText(host: string, headers: Readonly<Record<string, string>>, question = QUESTION): string {
  const all = {
    host,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(question)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /v1/chat/completions HTTP/1.1\r\n${lines.join('')}\r\n${question}`;
}
