"""The mutants of small sources."""

import textwrap

import pytest

from mutation.mutants import list_mutants


def mutated_lines(source: str) -> list[str]:
    return [mutant.mutated for mutant in list_mutants("module.py", textwrap.dedent(source))]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b < c", ["a = b <= c", "a = b >= c"]),
        ("a = b <= c", ["a = b < c", "a = b > c"]),
        ("a = b > c", ["a = b <= c", "a = b >= c"]),
        ("a = b >= c", ["a = b < c", "a = b > c"]),
        ("a = b == c != d", ["a = b != c != d", "a = b == c == d"]),
        ("a = b is c", ["a = b is not c"]),
        ("a = b is not c", ["a = b is c"]),
        ("a = b in c", ["a = b not in c"]),
        ("a = b not in c", ["a = b in c"]),
        ("a = (b and c) or d", ["a = (b or c) or d", "a = (b and c) and d"]),
        ("a = b + c * d", ["a = b - c * d", "a = b + c / d"]),
        ("a = b // c % d ** e", ["a = b * c % d ** e", "a = b // c * d ** e", "a = b // c % d * e"]),
        ("a = b << c & d", ["a = b >> c & d", "a = b << c | d"]),
        ("a = -b", ["a = (b)"]),
        ("a = not b", ["a = (b)"]),
        ("a = b if c else d", ["a = b if (not (c)) else d"]),
        ("a = [b for b in c if d]", ["a = [b for b in c if (not (d))]"]),
        ("a += b", ["a -= b", "pass"]),
        ("a = 0", ["a = -1", "a = 1"]),
        ("a = 0.5", ["a = 1.5"]),
        ("a = True", ["a = False"]),
        ("a = None", []),
        ("a = 'é' + 'b'", ["""a = "X" 'é' + 'b'""", "a = 'é' - 'b'", """a = 'é' + "X" 'b'"""]),
        ("a = b'c'", ["""a = b"X" b'c'"""]),
        ("a = f'{b + 1}'", ["""a = "X" f'{b + 1}'"""]),
        ("a(b)", ["pass"]),
        ("a.b = c", ["pass"]),
        ("del a", ["pass"]),
        ("raise A", ["pass"]),
    ],
)
def test_statement_gives_exactly_its_mutants(source: str, expected: list[str]) -> None:
    assert sorted(mutated_lines(source)) == sorted(expected)


def test_control_flow_gives_exactly_its_mutants() -> None:
    source = """
        def f(a: int = 1) -> int | None:
            while a:
                if g(a):
                    break
                continue
            try:
                return a
            except (B, C):
                return
            except D:
                return None
            return False
    """
    assert mutated_lines(source) == [
        "def f(a: int = 0) -> int | None:",
        "def f(a: int = 2) -> int | None:",
        "while (not (a)):",
        "if (not (g(a))):",
        "pass",
        "pass",
        "return None",
        "except (B, ):",
        "except (C, ):",
        "pass",
        "except ():",
        "return True",
    ]


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        'class A:\n    b: Literal["c"]\n    """Of a field."""',
        'B: TypeAlias = Literal["c"] | D',
        'a = cast("B | C", d)',
        "@cache(size=8)\ndef a() -> None: ...",
        'logger.info("done", extra={"a": 1 + b})',
        'def a(b: "C | D") -> "E | F": ...',
    ],
)
def test_text_for_people_and_type_checkers_is_not_mutated(source: str) -> None:
    assert mutated_lines(source) == []


def test_raise_gives_mutants_of_codes_but_not_of_texts() -> None:
    source = """raise Error(404, "not_found", "there is no such upload", f"{a}")"""
    assert sorted(mutated_lines(source)) == [
        "pass",
        """raise Error(403, "not_found", "there is no such upload", f"{a}")""",
        """raise Error(404, "X" "not_found", "there is no such upload", f"{a}")""",
        """raise Error(405, "not_found", "there is no such upload", f"{a}")""",
    ]


def test_mutant_of_several_lines_is_the_whole_module_with_one_edit() -> None:
    source = "def f():\n    # why\n    g(\n        a,  # b\n    )\n    return 'c'\n"
    removed, *_ = list_mutants("module.py", source)
    assert removed.source == "def f():\n    # why\n    pass\n    return 'c'\n"
    assert (removed.line, removed.original, removed.mutated) == (3, "g( a, # b )", "pass")
    assert removed.diff(source) == "module.py:3\n-    g(\n-        a,  # b\n-    )\n+    pass"
