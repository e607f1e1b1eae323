"""A component provider for components whose arguments are dataclasses.

`pulumi.provider.experimental` derives a schema from the annotations of components. It has no defaults, requires every
argument whose type does not include None, and passes arguments as dictionaries. This provider adds what is missing:

- An argument with a default is optional; the schema has the default.
- Components get instances of their argument classes. Mistakes in arguments are reported by property.
"""

import dataclasses
import inspect
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails
from pulumi.output import Unknown
from pulumi.provider import ConstructResult
from pulumi.provider.experimental.analyzer import PropertyDefinition
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.experimental.schema import generate_schema
from pulumi.provider.experimental.util import camel_case

NAME = "avatars"
_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
# The start of a line of the messages of argument classes: <class>.<field>, and a space or a colon.
_FIELD = re.compile(r"\w+\.(\w+)[ :]")


class AvatarsProvider(ComponentProvider):
    """Serves `components`, whose `__init__` takes a name, `args` of a dataclass, and resource options."""

    def __init__(self, components: Sequence[type[pulumi.ComponentResource]]) -> None:
        version: str = tomllib.loads(_PROJECT.read_text())["project"]["version"]
        super().__init__(list(components), NAME, version=version)
        for name, component in self._components.items():
            _complete(self._component_defs[name].inputs, _arguments_class(component))
        for definition in self._type_defs.values():
            if dataclasses.is_dataclass(definition.python_type):
                _complete(definition.properties, definition.python_type)
        schema = generate_schema(NAME, version, None, self._component_defs, self._type_defs, self._dependencies)
        document = _clean_descriptions(schema.to_json())
        for name, component in self._components.items():
            _add_defaults(document["resources"][f"{NAME}:index:{name}"]["inputProperties"], _arguments_class(component))
        for name, definition in self._type_defs.items():
            if dataclasses.is_dataclass(definition.python_type):
                _add_defaults(document["types"][f"{NAME}:index:{name}"]["properties"], definition.python_type)
        self.schema = json.dumps(document)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Mapping[str, Any],
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Creates a component.

        Raises:
            InputPropertiesError: An argument is missing, unknown, not plain where the schema requires it, or invalid.
        """
        self.validate_resource_type(NAME, resource_type)
        component_name = resource_type.rpartition(":")[2]
        if component_name not in self._components:
            raise ValueError(f"{NAME} has no component {component_name}")
        component: Any = self._components[component_name]
        args = build_dataclass(_arguments_class(component), inputs)
        instance = component(name, args, options)
        return ConstructResult(instance.urn, self.get_state(instance, self._component_defs[component_name]))


def build_dataclass(class_: type[Any], inputs: Mapping[str, Any], path: str = "") -> Any:
    """Returns an instance of a dataclass with the values of `inputs`, whose keys are the fields' names in camelCase.

    The protocol has no integers, so whole numbers are converted; other numbers are left for the dataclass to reject.

    Raises:
        InputPropertiesError: With one entry for each wrong property.
    """
    fields = {camel_case(field.name): field for field in dataclasses.fields(class_)}
    given = {key: _wrap_unknown(value) for key, value in inputs.items() if value is not None}
    mistakes = [(key, f"{class_.__name__} has no such property") for key in given.keys() - fields.keys()]
    mistakes += [
        (key, f"{class_.__name__}.{field.name} is required")
        for key, field in fields.items()
        if key not in given and not _has_default(field)
    ]
    mistakes += [
        (
            key,
            f"{class_.__name__}.{fields[key].name} must be a plain value, not an output: it determines which resources "
            "are created, or is validated before any is",
        )
        for key, value in given.items()
        if key in fields and isinstance(value, pulumi.Output) and not _accepts_output(fields[key].type)
    ]
    if mistakes:
        raise _input_error(mistakes, path)
    values = {fields[key].name: _build_value(fields[key].type, value, path + key) for key, value in given.items()}
    try:
        return class_(**values)
    except ValueError as error:
        lines = str(error).splitlines()
        raise _input_error([(_find_property(line), line) for line in lines], path) from error


def _wrap_unknown(value: Any) -> Any:
    """A value that a preview does not know arrives as a marker of the SDK."""
    return pulumi.Output.from_input(value) if isinstance(value, Unknown) else value


def _build_value(type_: Any, value: Any, path: str) -> Any:
    value = _wrap_unknown(value)
    if isinstance(value, pulumi.Output):
        return value
    type_ = _plain_type(type_)
    if dataclasses.is_dataclass(type_) and isinstance(value, Mapping):
        return build_dataclass(cast("type[Any]", type_), cast("Mapping[str, Any]", value), f"{path}.")
    if isinstance(value, list):
        items = typing.get_args(type_) or (Any,)
        return [_build_value(items[0], item, f"{path}[{i}]") for i, item in enumerate(cast("list[Any]", value))]
    if isinstance(value, Mapping):
        *_, item_type = typing.get_args(type_) or (Any,)
        return {
            key: _build_value(item_type, item, f"{path}.{key}")
            for key, item in cast("Mapping[str, Any]", value).items()
        }
    return int(value) if type_ is int and isinstance(value, float) and value.is_integer() else value


def _input_error(mistakes: list[tuple[str, str]], path: str) -> InputPropertiesError:
    details: list[InputPropertyErrorDetails] = [
        {"property_path": f"{path}{key}", "reason": reason} for key, reason in mistakes
    ]
    return InputPropertiesError("\n".join(reason for _, reason in mistakes), details)


def _find_property(line: str) -> str:
    match = _FIELD.match(line)
    return camel_case(match.group(1)) if match else ""


def _arguments_class(component: type[Any]) -> type[Any]:
    return inspect.get_annotations(component.__init__)["args"]


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _union_members(type_: Any) -> tuple[Any, ...]:
    return typing.get_args(type_) if typing.get_origin(type_) in (typing.Union, types.UnionType) else (type_,)


def _accepts_output(type_: Any) -> bool:
    return any(typing.get_origin(member) is pulumi.Output or _is_input(member) for member in _union_members(type_))


def _is_input(member: Any) -> bool:
    # pulumi.Input has a forward reference to Output.
    return isinstance(member, typing.ForwardRef) and member.__forward_arg__.startswith("Output")


def _plain_type(type_: Any) -> Any:
    """The first member of a union: T of `Input[T]`, `T | None` and `Input[T] | None`."""
    return _union_members(type_)[0]


def _complete(properties: dict[str, PropertyDefinition], class_: type[Any]) -> None:
    for field in dataclasses.fields(class_):
        property_ = properties[camel_case(field.name)]
        property_.optional = property_.optional or _has_default(field)


def _clean_descriptions(document: Any) -> Any:
    """Removes the indentation of docstrings."""
    if isinstance(document, list):
        return [_clean_descriptions(item) for item in cast("list[Any]", document)]
    if not isinstance(document, dict):
        return document
    return {
        key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _clean_descriptions(value)
        for key, value in cast("dict[str, Any]", document).items()
    }


def _add_defaults(properties: dict[str, dict[str, Any]], class_: type[Any]) -> None:
    """Adds the defaults to the schema, those of lists to the description: a schema has defaults of primitive types."""
    for field in dataclasses.fields(class_):
        if not _has_default(field):
            continue
        default, property_ = _default_of(field), properties[camel_case(field.name)]
        if isinstance(default, str) and Path(default).is_absolute():
            continue  # a file of this machine
        if isinstance(default, str | int | float):
            property_["default"] = default
        elif default and isinstance(default, Sequence):
            property_["description"] = f"{property_['description']} Default: {json.dumps(default)}."
