"""Handles that nobody can take, because they look like an address or a role of the service itself.

Sources:
    Mailbox names for services: https://www.rfc-editor.org/rfc/rfc2142
    Mailboxes whose owner can get a certificate for the domain: CA/Browser Forum Baseline Requirements, 3.2.2.4.4,
    https://cabforum.org/working-groups/server/baseline-requirements/requirements/
    Everything else: this project's own choice.
"""

_RFC_2142 = """
    abuse ftp hostmaster info marketing news noc postmaster sales security support usenet uucp webmaster www
"""
_BASELINE_REQUIREMENTS = "admin administrator"
_ROLES = """
    anonymous billing bot contact everyone help helpdesk moderator moderators nobody official operator owner root staff
    superuser sysadmin system team user users
"""
_WORDS_OF_THE_API = """
    api assets authorize avatar avatars cdn default defaults deleted handle handles keyupload manifest profile profiles
    subject upload uploads webhook
"""
_PAGES = """
    about account accounts blog cookies dashboard developer developers docs download downloads explore faq feed home
    imprint index jobs legal login logout mail notifications password payments press pricing privacy register robots
    search settings share shop signin signout signup sitemap static status terms wellknown
"""
_VALUES = "false none null true undefined"

# Without underscores, as `is_reserved` compares.
HANDLES = frozenset(" ".join((_RFC_2142, _BASELINE_REQUIREMENTS, _ROLES, _WORDS_OF_THE_API, _PAGES, _VALUES)).split())


def is_reserved(handle: str) -> bool:
    """Whether the handle is a reserved one, with or without underscores: `sign_up`, `_admin_`."""
    return handle.replace("_", "") in HANDLES
