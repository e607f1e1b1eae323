"""Dependencies that a value carries to the resources that use it."""

from typing import TypeVar

import pulumi

_T = TypeVar("_T")


def after(value: pulumi.Input[_T], *resources: pulumi.CustomResource) -> pulumi.Output[_T]:
    """Returns `value` with a dependency on `resources`.

    A resource that takes it as an input is created after `resources` and deleted before them, as with `depends_on`;
    the value is unknown in a preview until `resources` exist.
    """
    return pulumi.Output.all(value, *(resource.id for resource in resources)).apply(lambda results: results[0])
