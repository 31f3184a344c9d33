/**
 * The texts that an outcome commits to, in a form that anybody can write down again: JSON without blanks, members in
 * alphabetical order (RFC 8785 for what is in them).
 *
 * - A prompt: its messages in order, each with `content`, `role`, and where it has them `tool_call_id` and `tool_calls`.
 * - An answer that is one text: that text as it is. Any other one, with calls, a thought or of several choices: these in
 *   order, each with `content` and where it has them `reasoning_content` and `tool_calls`. The outcome's `choices`,
 *   `reasoning_bytes` and `tool_calls` say which.
 */
export interface SpokenCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface SpokenMessage {
  readonly role: string;
  readonly content: string;
  readonly tool_calls?: readonly SpokenCall[] | undefined;
  readonly tool_call_id?: string | undefined;
}

export interface SpokenAnswer {
  readonly content: string;
  /** What was thought before; absent or empty: nothing. */
  readonly reasoning_content?: string | undefined;
  readonly tool_calls?: readonly SpokenCall[] | undefined;
}

const callsOf = (calls: readonly SpokenCall[] | undefined) =>
  calls && calls.length > 0
    ? calls.map(({ id, function: { name, arguments: values } }) => ({
        function: { arguments: values, name },
        id,
        type: 'function',
      }))
    : undefined;

/** The text of a prompt. */
export const promptText = (messages: readonly SpokenMessage[]): string =>
  JSON.stringify(
    messages.map(({ role, content, tool_call_id, tool_calls: calls }) => ({
      content,
      role,
      tool_call_id,
      tool_calls: callsOf(calls),
    })),
  );

/** Whether an answer is more than one text. */
export const isStructured = (answers: readonly SpokenAnswer[]): boolean =>
  answers.length !== 1 || (answers[0]?.tool_calls?.length ?? 0) > 0 || !!answers[0]?.reasoning_content;

/** The text of an answer. */
export const answerText = (answers: readonly SpokenAnswer[]): string =>
  isStructured(answers)
    ? JSON.stringify(
        answers.map(({ content, reasoning_content: thought, tool_calls: calls }) => ({
          content,
          reasoning_content: thought || undefined,
          tool_calls: callsOf(calls),
        })),
      )
    : (answers[0]?.content ?? '');

/** Messages of a request as it was sent, or of a list of them; null for anything else. */
export function messagesIn(value: unknown): SpokenMessage[] | null {
  const messages = isObject(value) ? value['messages'] : value;
  if (!Array.isArray(messages)) return null;
  const read = messages.map(messageIn);
  return read.every((message) => message !== null) ? read : null;
}

function messageIn(value: unknown): SpokenMessage | null {
  if (!isObject(value) || typeof value['role'] !== 'string') return null;
  const { role, content, tool_call_id: answered } = value;
  const calls = callsIn(value['tool_calls']);
  const whole = textIn(content ?? (calls === undefined ? null : ''));
  if (whole === null || calls === null) return null;
  return {
    // OpenAI's newer name, which is on record by the older one.
    role: role === 'developer' ? 'system' : role,
    content: whole,
    tool_calls: calls,
    tool_call_id: typeof answered === 'string' ? answered : undefined,
  };
}

/** The choices of a whole answer as it came; null for anything else. */
export function answersIn(value: unknown): SpokenAnswer[] | null {
  if (!isObject(value) || !Array.isArray(value['choices'])) return null;
  const read = value['choices'].map((choice: unknown): SpokenAnswer | null => {
    const message = isObject(choice) ? choice['message'] : null;
    if (!isObject(message)) return null;
    const [content, calls] = [textIn(message['content'] ?? ''), callsIn(message['tool_calls'])];
    const thought = message['reasoning_content'] ?? undefined;
    if (content === null || calls === null || (thought !== undefined && typeof thought !== 'string')) return null;
    return { content, reasoning_content: thought, tool_calls: calls };
  });
  return read.length > 0 && read.every((answer) => answer !== null) ? read : null;
}

function textIn(content: unknown): string | null {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : null;
  return content.map((part: unknown) => (isObject(part) ? String(part['text'] ?? '') : '')).join('');
}

function callsIn(value: unknown): SpokenCall[] | undefined | null {
  if (value === undefined || value === null) return undefined;
  return Array.isArray(value) && value.every(isCall) ? value : null;
}

function isCall(value: unknown): value is SpokenCall {
  if (!isObject(value) || typeof value['id'] !== 'string' || !isObject(value['function'])) return false;
  const { name, arguments: values } = value['function'];
  return typeof name === 'string' && typeof values === 'string';
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
