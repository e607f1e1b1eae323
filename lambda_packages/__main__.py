"""`python -m lambda_packages` builds the packages for Lambda and prints their sizes."""

import logging
import sys
from collections.abc import Mapping

from lambda_packages.archive import count_unzipped_bytes
from lambda_packages.build import Package, PackagingError, build_packages


def _print_sizes(packages: Mapping[str, Package]) -> None:
    archives = {f"layer {layer}": path for package in packages.values() for layer, path in package.layers.items()}
    archives |= {package.name: package.archive for package in packages.values()}
    print(f"{'package':<24}{'zipped':>12}{'unzipped':>12}")
    for name, archive in archives.items():
        print(f"{name:<24}{archive.stat().st_size:>12,}{count_unzipped_bytes(archive):>12,}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _print_sizes(build_packages())
    except PackagingError as error:
        sys.exit(f"error: {error}")
