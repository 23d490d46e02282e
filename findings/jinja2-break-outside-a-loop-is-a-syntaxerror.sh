#!/usr/bin/env bash
# Jinja2: `{% break %}` outside of a loop is no TemplateError, but Python's own SyntaxError.
#
# Seen with Jinja2 3.1.6 and its extension loopcontrols, on Python 3.11.
#
# Jinja2 tells what is wrong in a template by TemplateSyntaxError, with the template's line. loopcontrols does not look
# whether `{% break %}` or `{% continue %}` stands in a loop: `Environment.parse` takes it, and Python refuses the code
# that Jinja2 made of it. `from_string` lets that through: a SyntaxError, which `except jinja2.TemplateError` does not
# catch, with the line number of that code, not of the template. It is so inside of a loop too, in a macro or a call
# block, because these become functions.
#
# For us: one who brings a chat template with such a slip would see the engine fail with an internal error instead of
# "the chat template can't be read". So `Template` in edgeassist/engine/prompting/template.py catches both.
set -euo pipefail

seen="\
{% for a in b %}{% break %}{% endfor %}: parsed; made
{% for a in b %}: TemplateSyntaxError; TemplateSyntaxError in line 1
{% break %}: parsed; SyntaxError (no TemplateError) in line 11
{% continue %}: parsed; SyntaxError (no TemplateError) in line 11
{% for a in b %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}: parsed; SyntaxError (no TemplateError) in line 19
{% for a in b %}{% call m() %}{% break %}{% endcall %}{% endfor %}: parsed; SyntaxError (no TemplateError) in line 19"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check jinja2==3.1.6

cat >"$work/templates.py" <<'PYTHON'
import jinja2

environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])

def parse(source):
    try:
        environment.parse(source)
        return "parsed"
    except jinja2.TemplateError as error:
        return type(error).__name__

def make(source):
    try:
        environment.from_string(source)
        return "made"
    except jinja2.TemplateSyntaxError as error:
        return f"TemplateSyntaxError in line {error.lineno}"
    except SyntaxError as error:
        assert not isinstance(error, jinja2.TemplateError)
        return f"SyntaxError (no TemplateError) in line {error.lineno}"

for source in ("{% for a in b %}{% break %}{% endfor %}", "{% for a in b %}", "{% break %}", "{% continue %}",
               "{% for a in b %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
               "{% for a in b %}{% call m() %}{% break %}{% endcall %}{% endfor %}"):
    print(f"{source}: {parse(source)}; {make(source)}")
PYTHON
timeout 60 "$work/venv/bin/python" "$work/templates.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
