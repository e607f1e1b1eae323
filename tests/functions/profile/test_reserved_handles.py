import pytest

from functions.profile.profile_validation import is_handle
from functions.profile.reserved_handles import HANDLES, is_reserved


@pytest.mark.parametrize(
    "handle",
    ["admin", "support", "help", "about", "api", "www", "abuse", "sign_up", "_admin_", "well_known", "key_upload"],
)
def test_is_reserved_roles_pages_and_variants(handle: str) -> None:
    assert is_reserved(handle)


@pytest.mark.parametrize("handle", ["ada", "admin2", "badmin", "user_x1y2z3", "helper", "___"])
def test_is_reserved_other_handles_are_free(handle: str) -> None:
    assert not is_reserved(handle)


def test_handles_are_valid_without_underscores() -> None:
    assert [handle for handle in HANDLES if not is_handle(handle) or "_" in handle] == []
