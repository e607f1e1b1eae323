"""`python -m components.configuration_reference` updates the lists of configuration keys.

Pulumi.yaml and docs/configuration.md repeat what AvatarServiceArgs declares.
"""

import ast
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from components.avatar_service import AvatarServiceArgs
from components.configuration import SETTINGS, Setting, to_key

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "Pulumi.yaml"
TABLE = ROOT / "docs" / "configuration.md"
_HEADING = "| key | default | what it does | allowed |\n|---|---|---|---|\n"
_TYPES = {bool: "boolean", int: "integer", str: "string", tuple: "array", dict: "object", type(None): "string"}


def read_descriptions() -> dict[str, str]:
    """Returns the docstring of each field of AvatarServiceArgs in one line, by configuration key."""
    source = ast.parse(inspect.getsource(AvatarServiceArgs))
    (class_,) = [node for node in source.body if isinstance(node, ast.ClassDef)]
    descriptions: dict[str, str] = {}
    for declaration, docstring in zip(class_.body, class_.body[1:], strict=False):
        match declaration, docstring:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                named = re.sub(r"`(\w+)`", lambda match: to_key(match[1]), text)
                descriptions[to_key(field)] = " ".join(named.split())
            case _:
                pass
    return descriptions


def build_schema(setting: Setting, description: str) -> dict[str, Any]:
    """Returns the schema of a key: https://www.pulumi.com/docs/iac/concepts/projects/project-file/#config-options"""
    default = "" if setting.default is None else setting.default
    schema: dict[str, Any] = {"type": _TYPES[type(setting.default)]}
    if isinstance(default, tuple):
        schema["items"] = {"type": "integer" if default else "string"}
        default = list(default)
    return {**schema, "description": description, "default": default}


def format_project(text: str) -> str:
    """Returns the text of Pulumi.yaml with the current keys."""
    descriptions = read_descriptions()
    lines: list[str] = []
    for key, setting in SETTINGS.items():
        schema = build_schema(setting, descriptions[key])
        lines += [f"  {key}:", f"    type: {schema['type']}"]
        if "items" in schema:
            lines += ["    items:", f"      type: {schema['items']['type']}"]
        lines += ["    description: >-", *textwrap.wrap(schema["description"], 120, **_INDENT)]
        lines += [f"    default: {json.dumps(schema['default'])}"]
    project, _, _ = text.partition("\nconfig:\n")
    return f"{project}\nconfig:\n" + "\n".join(lines) + "\n"


_INDENT: dict[str, Any] = {
    "initial_indent": " " * 6,
    "subsequent_indent": " " * 6,
    "break_long_words": False,
    "break_on_hyphens": False,
}


def format_table(text: str) -> str:
    """Returns the text of docs/configuration.md with the current table."""
    descriptions = read_descriptions()
    rows = [
        f"| `{key}` | `{json.dumps(build_schema(setting, '')['default'])}` | {descriptions[key]} "
        f"| {setting.rule.allowed} |\n".replace("<", "&lt;")
        for key, setting in SETTINGS.items()
    ]
    return re.sub(re.escape(_HEADING) + r"(\|.*\n)*", lambda _: _HEADING + "".join(rows), text)


if __name__ == "__main__":
    PROJECT.write_text(format_project(PROJECT.read_text()))
    TABLE.write_text(format_table(TABLE.read_text()))
