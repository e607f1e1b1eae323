"""The profile page."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from urllib.parse import urlencode, urlsplit

import pulumi

from components.assets_cdn import PAGE_KEY
from components.blocks import validation
from components.blocks.bucket_object import BucketObject, put_object
from components.web_assets import DEFAULT_WEB_DIR, PAGE_TEMPLATE

_PLACEHOLDERS = (
    *("base", "api_url", "uploads_url", "client_id"),
    *("sign_in_url", "issuer", "sign_in_parameters", "sign_in_origins"),
)


@dataclass(frozen=True, kw_only=True)
class ProfilePageArgs:
    bucket_name: pulumi.Input[str]
    """The bucket that the CDN serves."""
    cdn_url: pulumi.Input[str]
    """The CDN's base URL, https://<host>."""
    base_path: pulumi.Input[str]
    """The path of the page's scripts and styles, /web/<version>/."""
    api_url: pulumi.Input[str]
    """The API's base URL."""
    uploads_url: pulumi.Input[str]
    """The uploads bucket's base URL."""
    client_id: pulumi.Input[str]
    """The client that users of the page sign in with: of a user pool, or the page's own of the issuer."""
    sign_in_url: pulumi.Input[str] | None = None
    """Cognito's API endpoint; required without an issuer."""
    issuer: str | None = None
    """The OpenID Connect issuer at whose page users sign in, instead of Cognito."""
    issuer_origins: Sequence[str] = ()
    """The origins of the issuer's endpoints, if they are not at the issuer's own."""
    issuer_parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parameters of the authorization request, such as the scope."""
    folder: Path = DEFAULT_WEB_DIR
    """The directory with the page's template."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            cdn_url=validation.HTTPS_URL,
            api_url=validation.HTTPS_URL,
            uploads_url=validation.HTTPS_URL,
            sign_in_url=validation.optional(validation.HTTPS_URL),
            client_id=validation.USER_POOL_CLIENT_ID if self.issuer is None else validation.CLIENT_ID,
            issuer=validation.optional(validation.ISSUER),
            issuer_origins=validation.list_of(validation.ORIGIN),
            issuer_parameters=validation.SIGN_IN_PARAMETERS,
            folder=_FOLDER,
        )
        if (self.sign_in_url is None) == (self.issuer is None):
            raise ValueError("ProfilePageArgs requires one of sign_in_url and issuer")
        _validate_template(self.folder / PAGE_TEMPLATE)


_FOLDER = validation.Rule(
    f"the path of a directory with {PAGE_TEMPLATE}",
    lambda folder: isinstance(folder, Path) and (folder / PAGE_TEMPLATE).is_file(),
)


class ProfilePage(pulumi.ComponentResource):
    """`avatars:index:ProfilePage`

    Creates the object of the page, with the stack's URLs filled in.
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
        sign_in_url = "" if args.sign_in_url is None else args.sign_in_url
        values: dict[str, pulumi.Input[str]] = {
            "base": args.base_path,
            "api_url": args.api_url,
            "uploads_url": args.uploads_url,
            "client_id": args.client_id,
            "sign_in_url": sign_in_url,
            "issuer": args.issuer or "",
            "sign_in_parameters": urlencode(args.issuer_parameters),
            "sign_in_origins": " ".join([_get_origin(args.issuer), *args.issuer_origins])
            if args.issuer
            else sign_in_url,
        }
        page = put_object(
            name,
            args.bucket_name,
            BucketObject(
                key=PAGE_KEY,
                content_type="text/html; charset=utf-8",
                cache_control="public, max-age=60",
                body=pulumi.Output.all(**values).apply(lambda results: _render(template, results)),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.url = pulumi.Output.concat(args.cdn_url, "/", page.key)
        self.register_outputs({"url": self.url})


def _get_origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _render(template: Template, values: Mapping[str, str]) -> str:
    return template.substitute({name: html.escape(value, quote=True) for name, value in values.items()})


def _validate_template(page: Path) -> None:
    template = Template(page.read_text(encoding="utf-8"))
    if not template.is_valid():
        raise ValueError(f"{page} has a $ that does not start a placeholder; write $$ for a literal $")
    found = set(template.get_identifiers())
    unknown, missing = sorted(found - set(_PLACEHOLDERS)), sorted(set(_PLACEHOLDERS) - found)
    if unknown or missing:
        raise ValueError(f"{page} has unknown placeholders {unknown}, missing placeholders {missing}")
