"""The page on which users look after their profile, and others see it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pulumi

from components.assets_cdn import PAGE_KEY
from components.blocks import validation
from components.blocks.bucket_object import BucketFile, put_file
from components.web_assets import PAGE_TEMPLATE, WEB

_PLACEHOLDERS = ("base", "api_url", "uploads_url", "sign_in_url", "client_id")


@dataclass(frozen=True, kw_only=True)
class ProfilePageArgs:
    bucket_name: pulumi.Input[str]
    cdn_url: pulumi.Input[str]
    """Where the bucket is served, https://<host>."""
    base_path: pulumi.Input[str]
    """Where the page's scripts and styles are, /web/<version>/."""
    api_url: pulumi.Input[str]
    uploads_url: pulumi.Input[str]
    """Where uploads are posted."""
    sign_in_url: pulumi.Input[str]
    """Cognito's public endpoint."""
    client_id: pulumi.Input[str]
    """The app client that users of the page sign in with."""
    folder: Path = WEB

    def __post_init__(self) -> None:
        validation.require(
            self,
            cdn_url=validation.HTTPS_URL,
            api_url=validation.HTTPS_URL,
            uploads_url=validation.HTTPS_URL,
            sign_in_url=validation.HTTPS_URL,
            client_id=validation.USER_POOL_CLIENT_ID,
            folder=_FOLDER,
        )
        _refuse_other_placeholders(self.folder / PAGE_TEMPLATE)


_FOLDER = validation.Rule(
    f"the path of a folder with {PAGE_TEMPLATE}",
    lambda folder: isinstance(folder, Path) and (folder / PAGE_TEMPLATE).is_file(),
)


class ProfilePage(pulumi.ComponentResource):
    """`avatars:index:ProfilePage`

    Makes: the page's object.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: ProfilePageArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:ProfilePage", name, None, opts)
        template = Template((args.folder / PAGE_TEMPLATE).read_text(encoding="utf-8"))
        values: dict[str, pulumi.Input[str]] = {
            "base": args.base_path,
            "api_url": args.api_url,
            "uploads_url": args.uploads_url,
            "sign_in_url": args.sign_in_url,
            "client_id": args.client_id,
        }
        page = put_file(
            name,
            args.bucket_name,
            BucketFile(
                key=PAGE_KEY,
                content_type="text/html; charset=utf-8",
                cache_control="public, max-age=60",
                body=pulumi.Output.all(**values).apply(lambda known: _render(template, known)),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.url = pulumi.Output.concat(args.cdn_url, "/", page.key)
        self.register_outputs({"url": self.url})


def _render(template: Template, values: Mapping[str, str]) -> str:
    return template.substitute({name: html.escape(value, quote=True) for name, value in values.items()})


def _refuse_other_placeholders(page: Path) -> None:
    """Raises ValueError for a page that asks for what it is not given, or that leaves out what it needs."""
    template = Template(page.read_text(encoding="utf-8"))
    if not template.is_valid():
        raise ValueError(f"{page} has a $ that begins no placeholder; one that is meant is written $$")
    asked = set(template.get_identifiers())
    unknown, missing = sorted(asked - set(_PLACEHOLDERS)), sorted(set(_PLACEHOLDERS) - asked)
    if unknown or missing:
        raise ValueError(f"{page} has the unknown placeholders {unknown} and lacks {missing}")
