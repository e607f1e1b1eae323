"""The platforms that packages are built for."""

import sys
import sysconfig
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Platform:
    """An interpreter version and a machine."""

    name: str  # also the name of the folder the packages are built in
    python: tuple[int, int]
    machine: str
    wheel_tags: tuple[str, ...] = ()  # pip's --platform; if empty, pip selects wheels for the running interpreter

    @classmethod
    def host(cls) -> Self:
        """The running interpreter on this machine."""
        return cls("host", sys.version_info[:2], sysconfig.get_platform())


LAMBDA = Platform(
    name="lambda",
    python=(3, 14),
    machine="aarch64",
    # pip matches tags literally: given only manylinux_2_28 it ignores wheels tagged manylinux_2_17 and can select
    # another release. Lambda's Amazon Linux 2023 has glibc 2.34, so it runs wheels of every tag up to 2_34.
    wheel_tags=(
        *(f"manylinux_2_{minor}_aarch64" for minor in (34, 31, 28, 27, 26, 24, 17)),
        "manylinux2014_aarch64",
    ),
)
