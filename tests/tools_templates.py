"""Chat templates that take tools, each in a published way, some that take none, and what they are asked."""

import json
from collections.abc import Sequence
from functools import cache

from edgeassist.engine.messages import ChatMessage, Tool, ToolCall, Tools
from edgeassist.engine.prompting.chat import ChatTemplate

CONTROL = ["<s>", "<|start|>", "<|end|>", '<|"|>', "[INST]", "[/INST]", "[TOOL_CALLS]"]
PARTS = ["<tool_call>", "</tool_call>", "<think>", "</think>"]

TOLD = "{% for tool in tools or [] %}{{ '<tool>' + tool | tojson + '\\n' }}{% endfor %}"
SAID = "{{ '<|start|>' + m.role + '\\n' + (m.content or '') }}"
CALLS = (
    '{% for call in m.tool_calls or [] %}{{ \'<tool_call>\\n{"name": "\' + call.function.name '
    "+ '\", \"arguments\": ' + call.function.arguments | tojson + '}\\n</tool_call>' }}{% endfor %}"
)
LOOP = "{% for m in messages %}" + SAID + CALLS + "<|end|>{% endfor %}{{ '<|start|>assistant\\n' }}"
# As Qwen 2.5 and 3, Hermes 3, Granite 4 and many others.
HERMES = TOLD + LOOP
ARGUMENTS_AS_TEXT = HERMES.replace("call.function.arguments | tojson", "call.function.arguments")
ASCII = HERMES.replace("tojson", "tojson(ensure_ascii=true)")
PYTHON = HERMES.replace("tool | tojson", "tool | string")
XML_TOOLS = HERMES.replace("in tools", "in xml_tools")
# As Phi-4-mini.
SYSTEM_KEY = (
    "{% for m in messages %}"
    + SAID
    + "{{ '<tools>' + m.tools + '</tools>' if m.tools }}<|end|>{% endfor %}{{ '<|start|>assistant\\n' }}"
)
# As LFM 2 and Granite 3: an answer's text is what the model wrote.
NO_CALLS = TOLD + "{% for m in messages %}" + SAID + "<|end|>{% endfor %}{{ '<|start|>assistant\\n' }}"
NO_RESULTS = HERMES.replace("{% for m in messages %}", "{% for m in messages if m.role != 'tool' %}")
NO_TOOLS = NO_CALLS.removeprefix(TOLD)
ALTERNATES = (
    "{% for m in messages %}{% if m.role not in ('user', 'assistant') or (m.role == 'user') != "
    "(loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + NO_TOOLS
)
TEXT_OR_CALLS = HERMES.replace(SAID, SAID.replace("m.content or ''", "'' if m.tool_calls else m.content"))
# As Llama 3: the first question tells the tools, and a turn has one call.
LLAMA = (
    "{% set ns = namespace(told=false) %}{% for m in messages %}{{ '<|start|>' + m.role + '\\n' }}"
    "{% if m.role == 'user' and not ns.told %}{% set ns.told = true %}"
    "{% for tool in tools or [] %}{{ tool | tojson(indent=4) + '\\n\\n' }}{% endfor %}{% endif %}"
    "{% if 'tool_calls' in m %}{% if m.tool_calls | length != 1 %}"
    "{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}"
    "{% set call = m.tool_calls[0].function %}"
    "{{ '{\"name\": \"' + call.name + '\", \"parameters\": ' + call.arguments | tojson + '}' }}"
    "{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}{{ '<|start|>assistant\\n' }}"
)
# As Mistral Nemo: ids of nine characters; tools before the last question, and the system prompt in it.
MISTRAL = (
    "{% if messages[0].role == 'system' %}{% set told = messages[0].content %}"
    "{% set messages = messages[1:] %}{% endif %}"
    "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}"
    "{% for m in messages %}"
    "{% if (m.tool_calls or m.role == 'tool') and (m.tool_calls[0].id if m.tool_calls else m.tool_call_id)"
    " | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}"
    "{% if m.role == 'user' %}"
    "{% if tools and m == users[-1] %}{{ '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}"
    "{% endif %}"
    "{{ '[INST]' + (told + '\\n\\n' if loop.last and told is defined else '') + m.content + '[/INST]' }}"
    "{% elif m.tool_calls %}[TOOL_CALLS][{% for call in m.tool_calls %}"
    "{{ (call.function | tojson)[:-1] + ', \"id\": \"' + call.id + '\"}' + ('' if loop.last else ', ') }}"
    "{% endfor %}]</s>{% elif m.role == 'tool' %}"
    '{{ \'[TOOL_RESULTS]{"content": \' + m.content + \', "call_id": "\' + m.tool_call_id }}'
    "{{ '\"}[/TOOL_RESULTS]' }}"
    "{% else %}{{ m.content + '</s>' }}{% endif %}{% endfor %}"
)
# As Gemma 4: a control token is the quotation mark.
GEMMA = (
    "{% macro said(value) %}{% if value is string %}{{ '<|\"|>' + value + '<|\"|>' }}"
    "{% elif value is mapping %}{{ '{' }}{% for key, each in value | dictsort %}{{ key + ':' + said(each) }}"
    "{% if not loop.last %},{% endif %}{% endfor %}{{ '}' }}"
    "{% elif value is sequence %}[{% for each in value %}{{ said(each) }}{% endfor %}]"
    "{% else %}{{ value }}{% endif %}{% endmacro %}"
    "{% for tool in tools or [] %}{{ 'declaration:' + said(tool.function) }}{% endfor %}"
    "{% for m in messages %}{{ '<|start|>' + m.role + '\\n' + m.content }}"
    "{% for call in m.tool_calls or [] %}"
    "{{ '<|tool_call>call:' + call.function.name + said(call.function.arguments) + '<tool_call|>' }}"
    "{% endfor %}<|end|>{% endfor %}{{ '<|start|>assistant\\n' }}"
)
# As Qwen3-Coder.
TAGS = (
    TOLD
    + "{% for m in messages %}"
    + SAID
    + "{% for call in m.tool_calls or [] %}{{ '<tool_call>\\n<function=' + call.function.name + '>\\n' }}"
    "{% for key, value in call.function.arguments | items %}{{ '<parameter=' + key + '>\\n' }}"
    "{{ value if value is string else value | tojson }}{{ '\\n</parameter>\\n' }}{% endfor %}"
    "{{ '</function>\\n</tool_call>' }}{% endfor %}<|end|>{% endfor %}{{ '<|start|>assistant\\n' }}"
)
NATIVE = {
    "hermes": HERMES,
    "arguments as text": ARGUMENTS_AS_TEXT,
    "ascii": ASCII,
    "python": PYTHON,
    "xml_tools": XML_TOOLS,
    "text or calls": TEXT_OR_CALLS,
    "no results": NO_RESULTS,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "gemma": GEMMA,
    "tags": TAGS,
}
OTHERS = {
    "system key": SYSTEM_KEY,
    "no calls": NO_CALLS,
    "no tools": NO_TOOLS,
    "alternates": ALTERNATES,
}
ALL = NATIVE | OTHERS

TOOLS = Tools(
    (
        Tool(
            "weather",
            "Tells the weather.",
            json.dumps(
                {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string", "description": "Where."},
                        "unit": {"type": "string", "enum": ["kelvin", "celsius"]},
                    },
                    "required": ["city"],
                }
            ),
        ),
        Tool(
            "switch",
            "Switches a light.",
            '{"properties": {"room": {"type": "string"}, "on": {"type": "boolean"}}}',
        ),
    )
)
WORDS = ["weather", "Tells the weather.", "city", "unit", "kelvin", "switch", "Switches a light.", "room"]
SYSTEM, QUESTION = ChatMessage("system", "Be brief."), ChatMessage("user", "How is Oslo?")
WEATHER = ToolCall("weather", '{"city": "Oslo"}', "client-7")
SWITCH = ToolCall("switch", '{"room": "kitchen", "on": true}', "x")
COLD, DONE = ChatMessage("tool", "Snow.", call_id="client-7"), ChatMessage("tool", "Done.", call_id="x")
ANSWER, MORE = ChatMessage("assistant", "It snows."), ChatMessage("user", "And now?")


def called(*calls: ToolCall, text: str = "") -> ChatMessage:
    return ChatMessage("assistant", text, calls)


CONVERSATIONS = {
    "told": (QUESTION,),
    "system": (SYSTEM, QUESTION),
    "result": (SYSTEM, QUESTION, called(WEATHER), COLD),
    "on": (SYSTEM, QUESTION, called(WEATHER), COLD, ANSWER, MORE),
    "text beside": (QUESTION, called(WEATHER, text="I look."), COLD, ANSWER, MORE),
    "two": (SYSTEM, QUESTION, called(WEATHER, SWITCH), COLD, DONE, ANSWER, MORE),
    "two in turn": (QUESTION, called(WEATHER), COLD, called(SWITCH), DONE),
    "no result": (QUESTION, called(WEATHER), MORE),
}


@cache
def make(source: str) -> ChatTemplate:
    return ChatTemplate(source, tokens={"bos_token": "<s>"}, control=CONTROL, parts=PARTS)


def prompt(source: str, messages: Sequence[ChatMessage], tools: Tools | None = TOOLS) -> str:
    return "".join(segment.text for segment in make(source).render(messages, tools=tools))
