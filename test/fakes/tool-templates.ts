/** Chat templates in which functions are called, in the ways that families of models have. */
export const TAGGED = `{%- if tools %}<|im_start|>system
Functions:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}{% if message.tool_calls %}{% for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}`;

/** All calls in one list, whose ids must have nine characters, behind a control token. */
export const LISTED = `{{ bos_token }}{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
{%- for message in messages %}
{%- if message.role == "user" %}[INST]{{ message.content }}[/INST]
{%- elif message.role == "tool" %}[TOOL_RESULTS]{"content": {{ message.content | tojson }}, "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]
{%- elif message.tool_calls %}[TOOL_CALLS][
{%- for call in message.tool_calls %}
{%- if call.id | length != 9 %}{{ raise_exception("ids have nine characters") }}{% endif %}
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}{{ ", " if not loop.last }}
{%- endfor %}]{{ eos_token }}
{%- else %}{{ message.content }}{{ eos_token }}{% endif %}
{%- endfor %}`;

/** One call an answer, which is nothing but JSON; arguments are given as text. */
export const SINGLE = `{% if tools %}Functions: {{ tools | tojson }}
{% endif %}{% for message in messages %}<|{{ message.role }}|>
{%- if message.tool_calls %}{% if message.tool_calls | length != 1 %}{{ raise_exception("one at a time") }}{% endif %}
{%- set call = message.tool_calls[0].function %}{"name": "{{ call.name }}", "parameters": {{ call.arguments }}}
{%- else %}{{ message.content }}{% endif %}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`;

/** Shows functions and never writes a call. */
export const SHOWING = `{{ tools | tojson }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`;

/** A model that thinks before it answers, and whose earlier thoughts are left out (Qwen 3). */
export const THINKING = TAGGED.replace(
  '{{ message.content }}',
  "{{ message.content.split('</think>')[-1] if message.role == 'assistant' else message.content }}",
);

/** The same where the prompt opens the thought (DeepSeek R1). */
export const OPENED = THINKING.replace('assistant\n{% endif', 'assistant\n<think>\n{% endif');

/** Arguments one by one, as XML (Qwen 3 Coder). */
export const PARAMETERS = TAGGED.replace(
  '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}',
  `<function={{ call.function.name }}>
{% for name, value in call.function.arguments | items %}<parameter={{ name }}>
{{ value if value is string else value | tojson }}
</parameter>
{% endfor %}</function>`,
);
