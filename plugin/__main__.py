"""The provider of the package `avatars`, which Pulumi starts for programs in any language.

The first line of the standard output is the port of the provider; log records go to the standard error, which Pulumi
shows.
"""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi.provider

from components.assets_cdn import AssetsCdn
from components.avatar_pipeline import AvatarPipeline
from components.avatar_service import AvatarService
from components.upload_api import UploadApi
from plugin.provider import AvatarsProvider

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    components = (AvatarService, AssetsCdn, AvatarPipeline, UploadApi)
    pulumi.provider.main(AvatarsProvider(components), sys.argv[1:])
