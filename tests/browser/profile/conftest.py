"""Users with profiles, and browser contexts that visit the profile page."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import pytest

from client.session import Session
from local.stack import LocalStack
from tests.browser.profile.visitor import NewPerson, NewVisitor, Person, Visitor, next_number
from tests.browser.tabs import Tabs
from tests.local.conftest import create_user


@pytest.fixture
def new_person(stack: LocalStack) -> NewPerson:
    def create(**profile: str) -> Person:
        username, password = create_user(stack)
        session = Session.sign_in({**stack.exports, "cognitoEndpoint": stack.aws_url}, username, password)
        person = Person(stack, username, password, session)
        person.put(**{"display_name": "Alice Ackermann", "handle": f"alice_{next_number()}", **profile})
        return person

    return create


@pytest.fixture
def alice(new_person: NewPerson) -> Person:
    return new_person(bio="Makes small things that last.\n\nBerlin")


@pytest.fixture
def new_visitor(tabs: Tabs, stack: LocalStack) -> Generator[NewVisitor]:
    """Creates visitors. `options` are those of `Tabs.use`."""
    visitors: list[Visitor] = []
    with ExitStack() as cleanup:

        def create(**options: Any) -> Visitor:
            tab = cleanup.enter_context(tabs.use(stack.exports["avatarUploadUrl"], **options))
            visitors.append(Visitor(tab, stack))
            return visitors[-1]

        yield create
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()
