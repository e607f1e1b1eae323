"""Finds the modules that a handler imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

from lambda_packages.errors import PackagingError


def find_imported_modules(sources: Path, module: str, imports: dict[str, list[str]]) -> list[Path]:
    """Return the files of `module` and of every module of `functions` that it imports, directly or indirectly.

    Args:
        sources: The folder that contains `functions/`.
        module: A dotted name, for example `functions.profile.handler`.
        imports: The imports of the modules that earlier calls have parsed, by module. Those of this call are added.

    Raises:
        PackagingError: `module` or a module that is imported does not exist.
    """
    files: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name not in files:
            files[name] = _find_module_file(sources, name)
            if name not in imports:
                imports[name] = list(_find_imports(sources, name))
            pending += imports[name]
            if "." in name:
                pending.append(name.rpartition(".")[0])
    return sorted(files.values())


def _find_imports(sources: Path, module: str) -> Iterator[str]:
    path = _find_module_file(sources, module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes(), path)):
        for name in _get_module_names(node, package, sources):
            if name.partition(".")[0] == "functions":
                try:
                    _find_module_file(sources, name)
                except PackagingError as error:
                    raise PackagingError(f"{path}, line {getattr(node, 'lineno', 0)}: {error}") from None
                yield name


def _get_module_names(node: ast.AST, package: str, sources: Path) -> list[str]:
    """Return the modules that an import statement in `package` names; none for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
        base = ".".join(part for part in (parent, node.module) if part)
        # Every __init__.py is empty, so a name imported from a package is a module.
        if (sources / base.replace(".", "/")).is_dir():
            return [f"{base}.{alias.name}" for alias in node.names]
        return [base]
    return []


def _find_module_file(sources: Path, module: str) -> Path:
    stem = sources / module.replace(".", "/")
    for candidate in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise PackagingError(f"there is no module {module} in {sources}")
