"""The scripts and styles of web/, served so that a page never mixes two versions of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import s3

from components.assets_cdn import WEB_PREFIX
from components.blocks import validation
from components.blocks.bucket_object import BucketFile, put_file

WEB = Path(__file__).parents[1] / "web"
PAGE_TEMPLATE = "profile/profile.html"
"""In web/, but no module: the profile page is made of it."""
_ELEMENT = "avatar-upload.js"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
# How long a new version of the widget takes to reach the pages that embed it.
_FIVE_MINUTES = "public, max-age=300"


@dataclass(frozen=True, kw_only=True)
class WebModulesArgs:
    bucket_name: pulumi.Input[str]
    cdn_url: pulumi.Input[str]
    """Where the bucket is served, https://<host>."""
    protect: bool = True
    """Whether former versions stay, for pages that are open while a new one is deployed."""
    folder: Path = WEB

    def __post_init__(self) -> None:
        validation.require(self, cdn_url=validation.HTTPS_URL, folder=_FOLDER)
        unknown = sorted(str(path) for path in _modules(self.folder) if path.suffix not in _CONTENT_TYPES)
        if unknown:
            raise ValueError(f"WebModulesArgs.folder has {unknown}; served are only {', '.join(_CONTENT_TYPES)}")


_FOLDER = validation.Rule(
    f"the path of a folder with {_ELEMENT}", lambda folder: isinstance(folder, Path) and (folder / _ELEMENT).is_file()
)


class WebModules(pulumi.ComponentResource):
    """`avatars:index:WebModules`

    Makes: an object for each file, below a folder named after what is in all of them, and the one address of the upload
    widget that stays, which leads to the current folder.
    """

    base_path: pulumi.Output[str]
    """/web/<version>/, to put before a file's path in web/; known when all files are there."""
    element_url: pulumi.Output[str]
    """What a page of another site loads to have the upload widget."""

    def __init__(
        self,
        name: str,
        args: WebModulesArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:WebModules", name, None, opts)
        version = _version(args.folder)
        modules = [self._publish(name, args, path, version) for path in _modules(args.folder)]
        element = put_file(
            f"{name}-element",
            args.bucket_name,
            BucketFile(
                key=f"{WEB_PREFIX}{_ELEMENT}",
                content_type=_CONTENT_TYPES[".js"],
                cache_control=_FIVE_MINUTES,
                body=f'export * from "./{version}/{_ELEMENT}";\n',
            ),
            pulumi.ResourceOptions(parent=self, depends_on=modules),
        )

        self.base_path = pulumi.Output.all(*(module.id for module in modules)).apply(
            lambda _: f"/{WEB_PREFIX}{version}/"
        )
        self.element_url = pulumi.Output.concat(args.cdn_url, "/", element.key)
        self.register_outputs({"base_path": self.base_path, "element_url": self.element_url})

    def _publish(self, name: str, args: WebModulesArgs, path: Path, version: str) -> s3.BucketObjectv2:
        place = path.relative_to(args.folder).as_posix()
        file = BucketFile(
            key=f"{WEB_PREFIX}{version}/{place}",
            content_type=_CONTENT_TYPES[path.suffix],
            cache_control=_FOR_EVER,
            body=path,
        )
        # Another key is another object: the former is retained, or deleted when all new ones are there.
        opts = pulumi.ResourceOptions(parent=self, retain_on_delete=args.protect)
        return put_file(f"{name}-{place}", args.bucket_name, file, opts)


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / PAGE_TEMPLATE)


def _version(folder: Path) -> str:
    """The same for the same files, and another for any other: their names and bytes, in 16 hexadecimal digits."""
    digests = [
        hashlib.sha256(part).digest()
        for path in _modules(folder)
        for part in (path.relative_to(folder).as_posix().encode(), path.read_bytes())
    ]
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]
