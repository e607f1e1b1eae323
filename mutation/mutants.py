"""The mutants of a module: copies of its source with one small mistake each.

Not mutated, as no caller depends on it: annotations, decorators, docstrings, log records, and the texts of exceptions,
which have spaces, unlike codes.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff

_COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.BitXor: ("^", "|"),
}
_LOGGERS = {"log", "logger", "logging"}


@dataclass(frozen=True)
class Mutant:
    module: str
    line: int
    original: str
    """The lines that are changed, without indentation, as one line."""
    mutated: str
    source: str
    """Of the whole module."""

    def diff(self, source: str) -> str:
        """Return the difference from the module's `source`, without context."""
        lines = unified_diff(source.splitlines(), self.source.splitlines(), self.module, self.module, n=0, lineterm="")
        return "\n".join([f"{self.module}:{self.line}", *list(lines)[3:]])


def list_mutants(module: str, source: str) -> list[Mutant]:
    """Return the mutants of a module in the order of its lines. `module` is its path."""
    encoded = source.encode()
    starts = [0]
    for line in encoded.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    mutants: list[Mutant] = []
    for begin, end, text in sorted(set(_Finder(encoded, starts).find())):
        first = max(number for number, start in enumerate(starts) if start <= begin)
        last = min(number for number, start in enumerate(starts) if start >= end)
        mutated = encoded[:begin] + text.encode() + encoded[end:]
        tail = len(encoded) - starts[last]
        mutants.append(
            Mutant(
                module,
                first + 1,
                _join(encoded[starts[first] : starts[last]]),
                _join(mutated[starts[first] : len(mutated) - tail]),
                mutated.decode(),
            )
        )
    return mutants


def _join(lines: bytes) -> str:
    return " ".join(lines.decode().split())


_Edit = tuple[int, int, str]
"""A range of bytes of the source, and what replaces it."""


class _Finder:
    def __init__(self, source: bytes, starts: Sequence[int]) -> None:
        self._source = source
        self._starts = starts

    def find(self) -> Iterator[_Edit]:
        yield from self._visit(ast.parse(self._source), in_raise=False)

    def _visit(self, node: ast.AST, *, in_raise: bool) -> Iterator[_Edit]:
        if _is_docstring(node) or _is_log_call(node) or _is_type(node):
            return
        yield from self._edits(node, in_raise)
        if isinstance(node, ast.JoinedStr):  # before Python 3.12, the positions inside are wrong
            return
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._visit(child, in_raise=in_raise or isinstance(node, ast.Raise))

    def _edits(self, node: ast.AST, in_raise: bool) -> Iterator[_Edit]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for index, operator in enumerate(node.ops):
                    symbol, others = _COMPARISONS[type(operator)]
                    for other in others:
                        yield self._between(operands[index], operands[index + 1], symbol, other)
            case ast.BoolOp():
                symbol, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield self._between(left, right, symbol, other)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                yield self._between(node.left, node.right, *_ARITHMETIC[type(node.op)])
            case ast.AugAssign() if type(node.op) in _ARITHMETIC:
                symbol, other = _ARITHMETIC[type(node.op)]
                yield self._between(node.target, node.value, f"{symbol}=", f"{other}=")
                yield self._replace(node, "pass")
            case ast.UnaryOp():
                yield self._replace(node, f"({self._text(node.operand)})")
            case ast.If() | ast.IfExp() | ast.While():
                yield from self._negate(node.test)
            case ast.comprehension():
                for test in node.ifs:
                    yield from self._negate(test)
            case ast.Constant() | ast.JoinedStr():
                yield from self._change_constant(node, in_raise)
            case ast.Return(value=None) | ast.Break() | ast.Continue() | ast.Raise() | ast.Delete():
                yield self._replace(node, "pass")
            case ast.Return(value=ast.expr() as value) if not _is_none_or_bool(value):  # None is false, too
                yield self._replace(value, "None")
            case ast.Expr(value=ast.Call()):
                yield self._replace(node, "pass")
            case ast.Assign() if not isinstance(node.targets[0], (ast.Name, ast.Tuple)):
                yield self._replace(node, "pass")
            case ast.ExceptHandler(type=ast.Tuple(elts=elements) as errors):
                for index in range(len(elements)):
                    kept = "".join(f"{self._text(each)}, " for each in elements[:index] + elements[index + 1 :])
                    yield self._replace(errors, f"({kept})")
            case ast.ExceptHandler(type=ast.expr() as error):
                yield self._replace(error, "()")  # catches nothing
            case _:
                pass

    def _change_constant(self, node: ast.Constant | ast.JoinedStr, in_raise: bool) -> Iterator[_Edit]:
        if isinstance(node, ast.JoinedStr):
            if not in_raise:
                yield self._insert(node, '"X" ')
            return
        match node.value:
            case bool():
                yield self._replace(node, str(not node.value))
            case int():
                yield self._replace(node, str(node.value + 1))
                yield self._replace(node, str(node.value - 1))
            case float():
                yield self._replace(node, str(node.value + 1))
            case bytes():
                yield self._insert(node, 'b"X" ')
            case str() if not (in_raise and " " in node.value):
                yield self._insert(node, '"X" ')
            case _:
                pass

    def _negate(self, test: ast.expr) -> Iterator[_Edit]:
        """Negate a condition that has no operator of its own."""
        if not isinstance(test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            yield self._replace(test, f"(not ({self._text(test)}))")

    def _between(self, left: ast.expr, right: ast.expr, symbol: str, other: str) -> _Edit:
        """Replace the operator between two operands."""
        begin = self._source.index(symbol.encode(), self._end(left), self._begin(right))
        return begin, begin + len(symbol), other

    def _insert(self, node: ast.expr, text: str) -> _Edit:
        return self._begin(node), self._begin(node), text

    def _replace(self, node: ast.expr | ast.stmt, text: str) -> _Edit:
        return self._begin(node), self._end(node), text

    def _text(self, node: ast.expr) -> str:
        return self._source[self._begin(node) : self._end(node)].decode()

    def _begin(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset


def _is_none_or_bool(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _is_docstring(node: ast.AST) -> bool:
    """Whether it is a text on its own, as also below the fields of a class."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_log_call(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in _LOGGERS
        case _:
            return False


def _is_type(node: ast.AST) -> bool:
    match node:
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")) | ast.Call(func=ast.Name(id="cast")):
            return True
        case _:
            return False
