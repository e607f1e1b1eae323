"""The documents that a token issuer publishes: its metadata and its key set."""

import json
import re
import time
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit

# For a response, and for the whole document after it: the function has eight seconds for two documents of a few kB.
FETCH_TIMEOUT_SECONDS = 1.5
_CHUNK_BYTES = 16 * 1024
MAX_DOCUMENT_BYTES = 256 * 1024
# In a local run, the issuer is on the same machine. It has this address, as the name localhost can have another one
# (RFC 8252, section 8.3). In Lambda, the address is that of the function's own environment.
_LOOPBACK = re.compile(r"http://127\.0\.0\.1(:[0-9]+)?(?=/|$)")


class IssuerError(Exception):
    """The issuer does not publish what it should, or cannot be reached."""


class Issuer:
    """An OpenID Connect issuer, or a Cognito user pool."""

    def __init__(self, url: str, cognito_endpoint: str | None = None) -> None:
        """`cognito_endpoint` has the key sets of user pools instead of the issuer's host, if it is given.

        Raises:
            ValueError: `url` is neither an https:// URL nor on 127.0.0.1.
        """
        loopback = _LOOPBACK.match(url)
        if not loopback and not url.startswith("https://"):
            raise ValueError(f"the issuer {url!r} has no https:// URL")
        self.url = url
        self._key_set_origins = ("https://", f"{loopback[0]}/") if loopback else ("https://",)
        host, path = urlsplit(url).hostname or "", urlsplit(url).path
        self.is_cognito = host.startswith("cognito-idp.") and host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        # The only place of a user pool's key set, which saves a request:
        # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
        base = f"{cognito_endpoint.rstrip('/')}{path}" if cognito_endpoint else url
        self._key_set_url = f"{base}/.well-known/jwks.json" if self.is_cognito else None

    def fetch_key_set(self) -> dict[str, Any]:
        """Return the JWK Set (RFC 7517, section 5).

        Raises:
            IssuerError: a document cannot be fetched, or is not what it should be.
        """
        return _fetch_json(self._key_set_url or self._discover())

    def _discover(self) -> str:
        """Return the URL of the key set.

        https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig

        Raises:
            IssuerError: the metadata cannot be fetched, are those of another issuer, or have no https URL.
        """
        # A slash at the end of the issuer is removed here, but is part of its name (section 4.1).
        metadata = _fetch_json(f"{self.url.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != self.url:
            raise IssuerError(f"the metadata of {self.url} are those of issuer {metadata.get('issuer')!r}")
        key_set_url = metadata.get("jwks_uri")
        if not isinstance(key_set_url, str) or not key_set_url.startswith(self._key_set_origins):
            raise IssuerError(
                f"the metadata of {self.url} have the jwks_uri {key_set_url!r}; allowed is an https:// URL"
            )
        return key_set_url


class _RedirectRefuser(urllib.request.HTTPRedirectHandler):
    """A redirect is a failure: it could lead to a host that is not the issuer's."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _fetch_json(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(_RedirectRefuser)
    try:
        with opener.open(url, timeout=FETCH_TIMEOUT_SECONDS) as response:
            data = _read(response, url)
    except (OSError, HTTPException) as error:  # includes URLError and HTTPError
        raise IssuerError(f"{url} cannot be fetched: {error}") from error
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:  # RecursionError: nested too deep
        raise IssuerError(f"{url} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise IssuerError(f"{url} is not a JSON object")
    return cast("dict[str, Any]", document)


def _read(response: HTTPResponse, url: str) -> bytes:
    deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
    data = b""
    while chunk := response.read1(_CHUNK_BYTES):
        data += chunk
        if len(data) > MAX_DOCUMENT_BYTES:
            raise IssuerError(f"{url} has more than {MAX_DOCUMENT_BYTES} bytes")
        if time.monotonic() > deadline:
            raise IssuerError(f"{url} cannot be fetched: its body takes longer than {FETCH_TIMEOUT_SECONDS} seconds")
    return data
