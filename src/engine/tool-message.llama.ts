import { parametersOf } from './call-grammar.ts';
import type { GenerationRequest } from './engine.ts';
import { JsonGrammar } from './json-grammar.ts';
import type { GenerateMessage } from './protocol.contract.ts';

/** The conversation as the child is told it. */
export const messagesOf = ({ messages }: GenerationRequest): GenerateMessage['messages'] =>
  messages.map(({ role, content, tool_calls: calls, tool_call_id }) => ({
    role,
    content,
    ...(calls === undefined ? {} : { tool_calls: calls.map((call) => ({ ...call, function: { ...call.function } })) }),
    ...(tool_call_id === undefined ? {} : { tool_call_id }),
  }));

/** What it may call. @throws Problem `invalid_parameter` for parameters to which no grammar can hold a model */
export function toolsOf({ tools, responseFormat }: GenerationRequest): GenerateMessage['tools'] {
  if (tools === undefined || tools.choice === 'none') return undefined;
  const { functions, choice, parallel } = tools;
  for (const [index, tool] of functions.entries())
    new JsonGrammar().expression(parametersOf(tool), `tools[${index}].function.parameters`);
  return { functions: functions.map((one) => ({ ...one })), choice, parallel, format: responseFormat };
}

/** What its answer is held against. */
export const schemaOf = ({ responseFormat }: GenerationRequest): Pick<GenerateMessage, 'schema'> =>
  responseFormat.type === 'json_schema' ? { schema: responseFormat.schema } : {};
