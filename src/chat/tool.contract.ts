import { z } from 'zod';
import { isObjectText } from '#kernel/object-text.ts';

const Name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, _ or -');

/** A function that the model may call. Of OpenAI's sorts of tools it is the one that needs nothing of ours. */
export const Tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: Name,
    description: z.string().max(16_384).optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
    strict: z.boolean().nullish(),
  }),
});

export const ToolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.object({ type: z.literal('function'), function: z.object({ name: Name }) }),
]);

/** A call as it was made, in an answer and in a conversation that goes on. */
export const CalledFunction = z.object({
  id: z.string().min(1).max(64),
  type: z.literal('function'),
  function: z.object({ name: Name, arguments: z.string() }),
});

/** Message content: text, or OpenAI's list of parts of which only text can be answered by a local model. */
const Content = z.union([z.string(), z.array(z.object({ type: z.literal('text'), text: z.string() })).min(1)]);

export const Message = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['system', 'developer', 'user']), content: Content }),
  z.object({
    role: z.literal('assistant'),
    content: Content.nullish(),
    tool_calls: z.array(CalledFunction).min(1).max(128).nullish(),
    /** What it thought then: taken, and no part of the prompt. */
    reasoning_content: z.string().nullish(),
    /** The older way, of which nothing is done here. */
    function_call: z.null('use tool_calls').optional(),
  }),
  z.object({ role: z.literal('tool'), content: Content, tool_call_id: z.string().min(1).max(64) }),
]);
type Message = z.infer<typeof Message>;

/** What no schema of one message alone can say: what is said, and that each call is answered once, at once. */
export function checkConversation(messages: readonly Message[], fail: (message: string, path: PropertyKey[]) => void) {
  const open = new Set<string>();
  for (const [at, message] of messages.entries()) {
    if (message.role === 'tool') {
      if (!open.delete(message.tool_call_id))
        fail('answers no call of the message before', ['messages', at, 'tool_call_id']);
      continue;
    }
    if (open.size > 0) fail('the calls before it must be answered by tool messages', ['messages', at]);
    if (message.role !== 'assistant') continue;
    if (message.content == null && message.tool_calls == null) fail('must be a text', ['messages', at, 'content']);
    for (const [index, call] of (message.tool_calls ?? []).entries()) {
      const path = ['messages', at, 'tool_calls', index];
      if (open.has(call.id)) fail('is given twice', [...path, 'id']);
      open.add(call.id);
      if (!isObjectText(call.function.arguments)) fail('must be a JSON object', [...path, 'function', 'arguments']);
    }
  }
  if (open.size > 0) fail('its calls must be answered by tool messages', ['messages', messages.length - 1]);
}

interface ToolMembers {
  readonly tools?: readonly z.infer<typeof Tool>[] | null | undefined;
  readonly tool_choice?: z.infer<typeof ToolChoice> | null | undefined;
  readonly parallel_tool_calls?: boolean | null | undefined;
}

/** That what is chosen is there. */
export function checkTools(
  { tools, tool_choice: choice, parallel_tool_calls: parallel }: ToolMembers,
  fail: (message: string, path: PropertyKey[]) => void,
) {
  const names = (tools ?? []).map((tool) => tool.function.name);
  const twice = names.findIndex((name, at) => names.indexOf(name) !== at);
  if (twice >= 0) fail('is given twice', ['tools', twice, 'function', 'name']);
  if (names.length === 0 && choice != null && choice !== 'none') fail('needs tools', ['tool_choice']);
  if (names.length === 0 && parallel != null) fail('needs tools', ['parallel_tool_calls']);
  if (names.length > 0 && typeof choice === 'object' && choice !== null && !names.includes(choice.function.name))
    fail('names none of the tools', ['tool_choice']);
}
