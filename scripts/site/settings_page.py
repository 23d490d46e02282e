"""The page of all settings, made of their JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from scripts.site.sources import PROJECT
from scripts.site.tables import code, described, kind, plain, table

_ABOUT = """\
# All settings

Made of [the JSON Schema](settings.schema.json) of this version. A key `name` of the table `device` is written

```toml
[device]
name = "kitchen-pi"
```

in `edgeassist.toml`, and `EDGEASSIST_DEVICE__NAME=kitchen-pi` in the environment
([all sources](configuration.md#where-settings-come-from)). Live keys take effect with a reload, the others at
the daemon's next start.
"""


def markdown() -> str:
    """Return the page."""
    schema = json.loads((PROJECT / "edgeassist/assets/settings.schema.json").read_text())
    parts = [_ABOUT]
    for name, each in schema["properties"].items():
        listed = each["type"] == "array"
        shown = f"[[{name}]]" if listed else f"[{name}]"
        parts.append(f"## `{shown}`\n\n{plain(each['description'])}\n")
        properties = (each["items"] if listed else each)["properties"]
        parts.append(table(["key", "what"], map(_row, properties.items())))
    for name, each in schema["$defs"].items():
        parts.append(f"## {name}\n\n{plain(each['description'])}\n")
        parts.append(table(["key", "what"], map(_row, each["properties"].items())))
    return "\n".join(parts)


def _row(item: tuple[str, dict[str, Any]]) -> list[str]:
    key, each = item
    values = kind(each, lambda name: f"[{name}](#{name.lower()})").removesuffix(" or null")
    default = f"by default {code(each['default'])}" if "default" in each else ""
    live = "" if each.get("requiresRestart") else "**live**"
    secret = "a secret" if each.get("writeOnly") else ""
    return [f"`{key}`", described(each["description"], values, default, secret, live)]
