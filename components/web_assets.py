"""The scripts and styles of web/, under a path with the hash of their content."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import s3

from components.assets_cdn import WEB_PREFIX
from components.blocks import validation
from components.blocks.bucket_object import BucketObject, put_object
from components.blocks.dependencies import after

DEFAULT_WEB_DIR = Path(__file__).parents[1] / "web"
PAGE_TEMPLATE = "profile/profile.html"
"""The template of the profile page, which is not one of the web assets."""
_ELEMENT = "avatar-upload.js"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMMUTABLE = "public, max-age=31536000, immutable"
# The delay until pages that embed the widget load its new version.
_FIVE_MINUTES = "public, max-age=300"


@dataclass(frozen=True, kw_only=True)
class WebAssetsArgs:
    bucket_name: pulumi.Input[str]
    """The bucket that the CDN serves."""
    cdn_url: pulumi.Input[str]
    """The CDN's base URL, https://<host>."""
    protect: bool = True
    """Sets `retain_on_delete` on the assets: open pages can load the previous version after an update."""
    folder: Path = DEFAULT_WEB_DIR
    """The directory of the assets."""

    def __post_init__(self) -> None:
        validation.require(self, cdn_url=validation.HTTPS_URL, folder=_FOLDER)
        unknown = sorted(str(path) for path in _list_files(self.folder) if path.suffix not in _CONTENT_TYPES)
        if unknown:
            raise ValueError(f"WebAssetsArgs.folder has {unknown}; allowed are only {', '.join(_CONTENT_TYPES)} files")


_FOLDER = validation.Rule(
    f"the path of a directory with {_ELEMENT}",
    lambda folder: isinstance(folder, Path) and (folder / _ELEMENT).is_file(),
)


class WebAssets(pulumi.ComponentResource):
    """`avatars:index:WebAssets`

    Creates an object for each file under web/<version>/, where the version is a hash of all files, so that a page never
    loads files of two versions; and one object under a fixed URL that exports the upload widget of the current version.
    """

    base_path: pulumi.Output[str]
    """/web/<version>/, the prefix of a file's path; depends on the objects of all files."""
    element_url: pulumi.Output[str]
    """The fixed URL of the upload widget, for pages of other sites."""

    def __init__(
        self,
        name: str,
        args: WebAssetsArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:WebAssets", name, None, opts)
        version = _hash_files(args.folder)
        assets = [self._put_asset(name, args, path, version) for path in _list_files(args.folder)]
        element = put_object(
            f"{name}-element",
            args.bucket_name,
            BucketObject(
                key=f"{WEB_PREFIX}{_ELEMENT}",
                content_type=_CONTENT_TYPES[".js"],
                cache_control=_FIVE_MINUTES,
                body=f'export * from "./{version}/{_ELEMENT}";\n',
            ),
            pulumi.ResourceOptions(parent=self, depends_on=assets),
        )

        self.base_path = after(f"/{WEB_PREFIX}{version}/", *assets)
        self.element_url = pulumi.Output.concat(args.cdn_url, "/", element.key)
        self.register_outputs({"base_path": self.base_path, "element_url": self.element_url})

    def _put_asset(self, name: str, args: WebAssetsArgs, path: Path, version: str) -> s3.BucketObjectv2:
        relative_path = path.relative_to(args.folder).as_posix()
        object_ = BucketObject(
            key=f"{WEB_PREFIX}{version}/{relative_path}",
            content_type=_CONTENT_TYPES[path.suffix],
            cache_control=_IMMUTABLE,
            body=path,
        )
        # A changed key replaces the object: the old one is retained, or deleted after all new ones are created.
        opts = pulumi.ResourceOptions(parent=self, retain_on_delete=args.protect)
        return put_object(f"{name}-{relative_path}", args.bucket_name, object_, opts)


def _list_files(folder: Path) -> list[Path]:
    """Returns the files to serve: without the page's template, and without TypeScript declarations."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".d.ts"))
    return sorted(path for path in files if path != folder / PAGE_TEMPLATE)


def _hash_files(folder: Path) -> str:
    """Returns a hash of the files' relative paths and content, 16 hexadecimal digits."""
    digests = [
        hashlib.sha256(part).digest()
        for path in _list_files(folder)
        for part in (path.relative_to(folder).as_posix().encode(), path.read_bytes())
    ]
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]
