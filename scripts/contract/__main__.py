"""`python -m scripts.contract`: write docs/asyncapi.yaml and the JSON Schema of the settings anew."""

from __future__ import annotations

from scripts.contract.files import FILES

if __name__ == "__main__":
    for path, made in FILES.items():
        text = made()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written anew: {path.name}")
