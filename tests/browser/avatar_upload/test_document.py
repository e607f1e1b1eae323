"""docs/widget.md and the type declarations against the code."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.avatar_upload.widget import (
    read_error_codes,
    read_module,
)
from tests.browser.site import WEB

DOCUMENT = Path(__file__).parents[3] / "docs" / "widget.md"


def test_document_lists_every_error_code() -> None:
    assert read_first_cells("## Errors") == read_error_codes() - {"rejected", "held"}


def test_document_lists_every_event() -> None:
    emitted = set(re.findall(r'emit\("(avatar-[\w-]+)"', read_module("flow")))
    assert read_first_cells("## Events") == emitted


def test_document_lists_custom_properties_with_defaults() -> None:
    defined: dict[str, str] = {}
    for name, default in re.findall(r"var\((--avatar-upload-[\w-]+), (.+)\);", read_module("styles")):
        defined[name] = re.sub(r"light-dark\((\S+), (\S+)\)", r"\1` `\2", default)
    assert dict(re.findall(r"^\| `(--[\w-]+)` \| `(.+?)` \|", read_section("## Theming"), re.MULTILINE)) == defined


def test_document_lists_every_part() -> None:
    listed = re.findall(
        r'part: "([\w ]+)"', read_module("view") + read_module("avatar-preview") + read_module("cropper")
    )
    parts = set(" ".join(listed).split()) | {"primary"}
    named = read_section("## Theming").partition("there are parts:")[2].partition(":")[0]
    assert set(re.findall(r"`(\w+)`", named)) == parts


def test_document_lists_every_state() -> None:
    declared = re.findall(r'"(\w+)"', read_module("flow").partition("@typedef {")[2].partition("} State")[0])
    rows = re.findall(r"^\| (`.+?`) \|", read_section("## States"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == {*declared, "unconfigured"}


def test_types_declare_every_event_and_error_code() -> None:
    assert set(re.findall(r'^  "(avatar-[\w-]+)": CustomEvent', read_types(), re.MULTILINE)) == read_first_cells(
        "## Events"
    )
    assert read_union("ErrorCode") == read_error_codes()


def test_types_declare_every_state_and_message() -> None:
    declared = re.findall(r'"(\w+)"', read_module("flow").partition("@typedef {")[2].partition("} State")[0])
    assert read_union("State") == {*declared, "unconfigured"}
    messages = read_module("messages").partition("Object.freeze({")[2].partition("});")[0]
    assert read_union("MessageName") == set(re.findall(r"^  (\w+):", messages, re.MULTILINE))


def test_types_declare_every_attribute_and_member() -> None:
    attributes = read_types().partition("interface AvatarUploadAttributes {")[2].partition("}")[0]
    assert set(re.findall(r'^  "?([\w-]+)"?\?:', attributes, re.MULTILINE)) == read_first_cells("## Attributes")
    element = read_types().partition("class AvatarUpload ")[2].partition("\n}")[0]
    members = set(re.findall(r"^  (?:readonly |get )?(\w+)(?:\(\))?:", element, re.MULTILINE))
    rows = re.findall(r"^\| (`.+?`) \|", read_section("## Properties and methods"), re.MULTILINE)
    assert members == set(re.findall(r"`(\w+)", " ".join(rows))) - {"focus"}, "HTMLElement declares focus"


def read_types() -> str:
    return (WEB / "avatar-upload.d.ts").read_text()


def read_union(name: str) -> set[str]:
    return set(re.findall(r'"(\w+)"', read_types().partition(f"type {name} =")[2].partition(";")[0]))


def read_section(heading: str) -> str:
    return DOCUMENT.read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def read_first_cells(heading: str) -> set[str]:
    return set(re.findall(r"^\| `([\w-]+)` \|", read_section(heading), re.MULTILINE))
