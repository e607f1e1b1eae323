"""Settings of every test run."""

from __future__ import annotations

import os

from lambda_packages.build import ALLOW_UNCOMPILED

# Nothing is deployed, so Python 3.14 is not needed to build the packages for Lambda.
os.environ.setdefault(ALLOW_UNCOMPILED, "1")
