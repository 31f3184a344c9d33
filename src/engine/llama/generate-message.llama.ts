import type { GenerationRequest } from '#engine/engine.ts';
import { parametersOf } from '#engine/grammar/call-parameters.ts';
import { grammarFor, JsonGrammar } from '#engine/grammar/json-grammar.ts';
import { type makingOf, samplingOf } from '#engine/making.ts';
import { Problem } from '#kernel/problem.ts';
import { cacheOwner } from './cache-owner.ts';
import type { GenerateMessage } from './protocol.contract.ts';

/**
 * What the child is told to generate: first what a request may be refused for, before it waits for a slot, then the message.
 *
 * @throws Problem `invalid_parameter`
 */
export function generateMessage(request: GenerationRequest) {
  const stop = [...(request.stop ?? [])];
  if (stop.some((text) => !text.isWellFormed())) throw new Problem('invalid_parameter', { param: 'stop' });
  const grammar = grammarFor(request.responseFormat);
  const tools = toolsOf(request);
  return (
    id: number,
    maxTokens: number,
    { temperature, topP, seed }: ReturnType<typeof makingOf>,
  ): GenerateMessage => ({
    t: 'generate',
    id,
    subject: cacheOwner(request),
    messages: messagesOf(request),
    ...(request.prompt === undefined ? {} : { prompt: request.prompt }),
    maxTokens,
    temperature,
    topP,
    seed,
    stop,
    grammar,
    ...(tools === undefined ? {} : { tools }),
    ...schemaOf(request),
    ...samplingOf(request),
    stream: request.stream,
    credit: request.credit.total,
  });
}

/** The conversation as the child is told it. */
const messagesOf = ({ messages }: GenerationRequest): GenerateMessage['messages'] =>
  messages.map(({ role, content, tool_calls: calls, tool_call_id }) => ({
    role,
    content,
    ...(calls === undefined ? {} : { tool_calls: calls.map((call) => ({ ...call, function: { ...call.function } })) }),
    ...(tool_call_id === undefined ? {} : { tool_call_id }),
  }));

/** What it may call. @throws Problem `invalid_parameter` for parameters to which no grammar can hold a model */
function toolsOf({ tools, responseFormat }: GenerationRequest): GenerateMessage['tools'] {
  if (tools === undefined || tools.choice === 'none') return undefined;
  const { functions, choice, parallel } = tools;
  for (const [index, tool] of functions.entries())
    new JsonGrammar().expression(parametersOf(tool), `tools[${index}].function.parameters`);
  return { functions: functions.map((one) => ({ ...one })), choice, parallel, format: responseFormat };
}

/** What its answer is held against. */
const schemaOf = ({ responseFormat }: GenerationRequest): Pick<GenerateMessage, 'schema'> =>
  responseFormat.type === 'json_schema' ? { schema: responseFormat.schema } : {};
