"""`python -m policies.table` updates the table of rules in docs/security.md."""

import re
from collections.abc import Iterator
from pathlib import Path

from policies import SERVICES

DOCUMENT = Path(__file__).parents[1] / "docs" / "security.md"
_START, _END = "<!-- python -m policies.table -->\n", "<!-- /python -m policies.table -->\n"


def list_lines() -> Iterator[str]:
    """Yields the rows, rules with the same text in one."""
    yield "| rule | what it requires | level | met, or why not |\n|---|---|---|---|\n"
    for service, rules in SERVICES.items():
        yield f"| **{service}** | | | |\n"
        rows: dict[tuple[str, str], list[str]] = {}
        for rule in rules:
            rows.setdefault((rule.requires, rule.why_not), []).extend(rule.ids.split())
        for (requires, why_not), ids in rows.items():
            level = "advisory" if why_not else "mandatory"
            yield f"| {' '.join(dict.fromkeys(ids))} | {requires} | {level} | {why_not or 'met'} |\n"


def format_document(text: str) -> str:
    """Returns the text of docs/security.md with the current table."""
    pattern = re.escape(_START) + "(.*\n)*?" + re.escape(_END)
    return re.sub(pattern, lambda _: _START + "".join(list_lines()) + _END, text)


if __name__ == "__main__":
    DOCUMENT.write_text(format_document(DOCUMENT.read_text()))
