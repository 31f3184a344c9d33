import type { ParameterSyntax } from './call-parameters.ts';

/** How a chat template writes calls of functions: `opening` NAME `middle` ARGUMENTS (`between` NAME `middle` …)* `closing`. */
export interface CallSyntax {
  readonly opening: string;
  readonly middle: string;
  /** Null where the template takes one call at a time. */
  readonly between: string | null;
  readonly closing: string;
  /** Whether the template wants a call's arguments as an object or as JSON text. */
  readonly argumentsAs: 'object' | 'text';
  /** Where arguments are written one by one, and not as JSON: then `middle` is empty. */
  readonly parameters?: ParameterSyntax;
}

/** A conversation as templates take it: OpenAI's messages and tools. */
export interface TemplateInput {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools?: readonly unknown[];
  readonly add_generation_prompt: boolean;
}

const [FIRST, SECOND, KEY, VALUE, TEXT] = ['zqfirst', 'zqsecond', 'zqkey', 'zqvalue', 'zqtext'] as const;
const [OTHER_KEY, OTHER_VALUE] = ['zqother', 'zqthing'] as const;
const ASK = { role: 'user', content: 'zquser' };
const TOOLS = [FIRST, SECOND].map((name) => ({
  type: 'function',
  function: {
    name,
    description: 'zqdescription',
    parameters: { type: 'object', properties: { [KEY]: { type: 'string' } }, required: [KEY] },
  },
}));
/** Some templates put an empty thought in front of what they take for the last answer. */
const EMPTY_THOUGHT = /^\s*<think>\s*<\/think>\s*/;

/**
 * Finds out by rendering made-up calls. Null where the template does not write calls down, or in a way in which the name is
 * followed neither by JSON nor by one argument after another: then a model's calls can't be told from its text.
 */
export function callSyntaxOf(render: (input: TemplateInput) => string): CallSyntax | null {
  for (const argumentsAs of ['object', 'text'] as const) {
    try {
      const syntax = syntaxIn(render, argumentsAs);
      if (syntax !== null) return syntax;
    } catch {
      // The template refuses this kind: the other one is tried.
    }
  }
  return null;
}

function syntaxIn(render: (input: TemplateInput) => string, argumentsAs: CallSyntax['argumentsAs']): CallSyntax | null {
  const call = (name: string, at: number, object: object = { [KEY]: VALUE }) => ({
    id: `call0000${at}`,
    type: 'function',
    function: { name, arguments: argumentsAs === 'object' ? object : JSON.stringify(object) },
  });
  const answered = (message: object) =>
    render({ messages: [ASK, { role: 'assistant', ...message }], tools: TOOLS, add_generation_prompt: false });
  const question = render({ messages: [ASK], tools: TOOLS, add_generation_prompt: true });
  // A template that leaves the functions out would have the model guess.
  if (!question.includes(FIRST) || !question.includes(KEY)) return null;
  const plain = answered({ content: TEXT });
  const one = answered({ content: '', tool_calls: [call(FIRST, 1)] });
  const start = sharedLength(question, one);
  const called = (object: object) => answered({ content: '', tool_calls: [call(FIRST, 1, object)] }).slice(start);
  const parameters =
    readCall(one, FIRST, start) === null && argumentsAs === 'object'
      ? parametersIn(called({}), one.slice(start), called({ [KEY]: VALUE, [OTHER_KEY]: OTHER_VALUE }))
      : null;
  const readOne = (text: string, name: string, from: number) =>
    parameters === null ? readCall(text, name, from) : readParameters(text, name, from, parameters);
  const read = readOne(one, FIRST, start);
  if (read === null) return null;
  const turnEnd = plain.slice(plain.lastIndexOf(TEXT) + TEXT.length);
  const rest = one.slice(read.end);
  const opening = one.slice(start, read.start).replace(EMPTY_THOUGHT, '');
  if (!rest.endsWith(turnEnd) || opening.trim() === '') return null;
  const closing = rest.slice(0, rest.length - turnEnd.length).trimEnd();
  const between = betweenCalls(
    () => answered({ content: '', tool_calls: [call(FIRST, 1), call(SECOND, 2)] }),
    one,
    read,
    readOne,
  );
  const syntax = { opening, middle: read.middle, between, closing, argumentsAs };
  return parameters === null ? syntax : { ...syntax, parameters };
}

interface FoundCall {
  /** Where its name begins, and where its arguments end. */
  readonly start: number;
  readonly end: number;
  readonly middle: string;
}

function readCall(text: string, name: string, from: number): FoundCall | null {
  const start = text.indexOf(name, from);
  const key = text.indexOf(KEY, start);
  const brace = text.lastIndexOf('{', key);
  const end = text.indexOf('}', text.indexOf(VALUE, key)) + 1;
  if (start < 0 || brace < start || end < key) return null;
  const found: unknown = JSON.parse(text.slice(brace, end));
  if (JSON.stringify(found) !== JSON.stringify({ [KEY]: VALUE })) return null;
  return { start, end, middle: text.slice(start + name.length, brace) };
}

/** Of a call with no argument, with one and with two. Null where they are not written alike. */
function parametersIn(none: string, one: string, two: string): ParameterSyntax | null {
  const [nameEnd, key, value] = [one.indexOf(FIRST) + FIRST.length, one.indexOf(KEY), one.indexOf(VALUE)];
  const [otherKey, otherValue] = [two.indexOf(OTHER_KEY), two.indexOf(OTHER_VALUE)];
  if (one.indexOf(FIRST) < 0 || key < nameEnd || value < key || otherKey < 0 || otherValue < otherKey) return null;
  const valueEnd = value + VALUE.length;
  const middle = one.slice(key + KEY.length, value);
  const gap = two.slice(valueEnd, otherKey);
  // Between two arguments stands the end of the one and the beginning of the other: what is before the first, too.
  const opening = one.slice(nameEnd, key);
  const closing = gap.slice(0, gap.length - opening.length);
  const rest = one.slice(valueEnd + closing.length);
  const isAlike =
    middle !== '' &&
    closing.trim() !== '' &&
    gap === closing + opening &&
    one.startsWith(closing, valueEnd) &&
    two === one.slice(0, valueEnd) + gap + OTHER_KEY + middle + OTHER_VALUE + closing + rest &&
    none === one.slice(0, nameEnd) + rest;
  return isAlike ? { opening, middle, closing } : null;
}

function readParameters(text: string, name: string, from: number, syntax: ParameterSyntax): FoundCall | null {
  const start = text.indexOf(name, from);
  const written = `${syntax.opening}${KEY}${syntax.middle}${VALUE}${syntax.closing}`;
  if (start < 0 || !text.startsWith(written, start + name.length)) return null;
  return { start, end: start + name.length + written.length, middle: '' };
}

function betweenCalls(renderTwo: () => string, one: string, first: FoundCall, readOne: typeof readCall): string | null {
  try {
    const two = renderTwo();
    if (!two.startsWith(one.slice(0, first.end))) return null;
    const second = readOne(two, SECOND, first.end);
    // What follows the last call must be the same as with one.
    return second !== null && second.middle === first.middle && two.slice(second.end) === one.slice(first.end)
      ? two.slice(first.end, second.start)
      : null;
  } catch {
    return null;
  }
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** The text at which an answer turns into calls: the opening as far as it can't be anything else. */
export function triggerOf({ opening }: CallSyntax): string {
  const text = opening.trimStart();
  return /^[^\s{"]{3,}/.exec(text)?.[0] ?? text;
}
