"""ProfilePage, used alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.profile_page import ProfilePage, ProfilePageArgs
from tests.components.conftest import RunAlone

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
PAGE = """<!doctype html>
<meta http-equiv="Content-Security-Policy" content="connect-src 'self' ${api_url} ${uploads_url} ${sign_in_origins}">
<script type="module" src="${base}profile/page.js" data-client="${client_id}"></script>
<p data-sign-in="${sign_in_url}" data-issuer="${issuer}" data-parameters="${sign_in_parameters}">Costs $$1.</p>
"""

ISSUER: dict[str, Any] = {
    "sign_in_url": None,
    "issuer": "https://example.eu.auth0.com/",
    "client_id": "client/1",
}


def folder_with(tmp_path: Path, page: str) -> Path:
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "profile.html").write_text(page)
    return tmp_path


def args(page_folder: Path, **settings: Any) -> ProfilePageArgs:
    given: dict[str, Any] = {
        "bucket_name": "assets",
        "cdn_url": "https://cdn.example.com",
        "base_path": "/web/0123456789abcdef/",
        "api_url": "https://api.example.com",
        "uploads_url": "https://uploads.s3.eu-west-1.amazonaws.com",
        "sign_in_url": "https://cognito-idp.eu-west-1.amazonaws.com",
        "client_id": "client1",
        "folder": page_folder,
    }
    return ProfilePageArgs(**{**given, **settings})


def test_page_contains_given_urls(run_alone: RunAlone, tmp_path: Path) -> None:
    graph = run_alone(lambda: ProfilePage("page", args(folder_with(tmp_path, PAGE))))
    hosts = (
        "https://api.example.com https://uploads.s3.eu-west-1.amazonaws.com https://cognito-idp.eu-west-1.amazonaws.com"
    )
    assert graph.one(OBJECT).inputs == {
        "bucket": "assets",
        "key": "profile",
        "content": (
            "<!doctype html>\n"
            f'<meta http-equiv="Content-Security-Policy" content="connect-src \'self\' {hosts}">\n'
            '<script type="module" src="/web/0123456789abcdef/profile/page.js" data-client="client1"></script>\n'
            '<p data-sign-in="https://cognito-idp.eu-west-1.amazonaws.com" data-issuer="" data-parameters="">'
            "Costs $1.</p>\n"
        ),
        "contentType": "text/html; charset=utf-8",
        "cacheControl": "public, max-age=60",
        "overrideProvider": {"defaultTags": {"tags": {}}},
    }


def test_page_with_issuer_contains_its_origins_and_parameters(run_alone: RunAlone, tmp_path: Path) -> None:
    given = args(
        folder_with(tmp_path, PAGE),
        **ISSUER,
        issuer_origins=["https://tokens.example.com"],
        issuer_parameters={"scope": "openid a&b", "audience": "https://avatars.example.com"},
    )
    content = run_alone(lambda: ProfilePage("page", given)).one(OBJECT).inputs["content"]
    assert 'amazonaws.com https://example.eu.auth0.com https://tokens.example.com">' in content
    assert (
        'data-client="client/1"></script>\n<p data-sign-in="" data-issuer="https://example.eu.auth0.com/" '
        'data-parameters="scope=openid+a%26b&amp;audience=https%3A%2F%2Favatars.example.com">'
    ) in content


def test_outputs(run_alone: RunAlone, tmp_path: Path) -> None:
    graph = run_alone(lambda: ProfilePage("page", args(folder_with(tmp_path, PAGE))))
    assert graph.one("avatars:index:ProfilePage").component_outputs == {"url": "https://cdn.example.com/profile"}


def test_page_escapes_values(run_alone: RunAlone, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, PAGE)

    def program() -> None:
        ProfilePage("page", args(folder, client_id=pulumi.Output.from_input('"><script>&')))

    graph = run_alone(program)
    assert 'data-client="&quot;&gt;&lt;script&gt;&amp;"' in graph.one(OBJECT).inputs["content"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("${client_id}", "${client}"), r"has unknown placeholders \['client'\], missing placeholders \['client_id'\]"),
        (("${base}", "/web/"), r"has unknown placeholders \[\], missing placeholders \['base'\]"),
        (
            ("Costs", "${name} $title: costs"),
            r"has unknown placeholders \['name', 'title'\], missing placeholders \[\]",
        ),
        (("$$1", "$1"), r"has a \$ that does not start a placeholder; write \$\$ for a literal \$"),
    ],
)
def test_args_invalid_template_raises_value_error(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    folder = folder_with(tmp_path, PAGE.replace(*change))
    with pytest.raises(ValueError, match=rf"profile\.html {complaint}"):
        args(folder)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"folder": Path("nowhere")},
            r"folder is PosixPath\('nowhere'\); allowed is the path of a directory with profile/",
        ),
        ({"api_url": "api.example.com"}, "api_url is 'api.example.com'; allowed is an https:// URL"),
        ({"sign_in_url": "http://a.example"}, "sign_in_url is 'http://a.example'; allowed is an https:// URL"),
        ({"client_id": ""}, "client_id is ''; allowed is the ID of an app client"),
        ({"sign_in_url": None}, "ProfilePageArgs requires one of sign_in_url and issuer"),
        ({"issuer": ISSUER["issuer"]}, "ProfilePageArgs requires one of sign_in_url and issuer"),
        ({**ISSUER, "client_id": "a b"}, "client_id is 'a b'; allowed is the client's ID at the issuer"),
        ({**ISSUER, "issuer_origins": ["https://a.example/"]}, r"issuer_origins is \['https://a.example/'\]; allowed"),
        ({**ISSUER, "issuer_parameters": {"state": "x"}}, r"issuer_parameters is {'state': 'x'}; allowed is a map"),
    ],
)
def test_args_invalid_raises_value_error(tmp_path: Path, settings: dict[str, Any], complaint: str) -> None:
    folder = folder_with(tmp_path, PAGE)
    with pytest.raises(ValueError, match=complaint):
        args(folder, **settings)
