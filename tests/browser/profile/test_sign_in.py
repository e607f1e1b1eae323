"""web/profile/sign-in.js and sign-in-errors.js: the forms that Cognito's challenges need."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Route, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.profile.visitor import (
    NewPerson,
    Person,
    Visitor,
    edit_button,
    fulfill_json,
    heading,
    next_number,
    respond_with_cognito_error,
    route_operation,
    sign_in,
)


def test_sign_in_shows_own_profile_and_survives_reload(visitor: Visitor, alice: Person) -> None:
    page = visitor.open()
    expect(heading(page)).to_have_text("Sign in")
    expect(page.get_by_label("Email")).to_be_focused()
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(heading(page)).to_be_focused()
    expect(edit_button(page)).to_be_visible()
    assert page.url.endswith(f"/profile?handle={alice.get()['handle']}")
    assert page.evaluate("history.length") == 2
    page.reload()
    expect(edit_button(page)).to_be_visible()


def test_sign_in_fields_have_autocomplete_tokens(visitor: Visitor) -> None:
    page = visitor.open()
    expect(page.get_by_label("Email")).to_have_attribute("autocomplete", "username")
    expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
    page.get_by_role("button", name="Forgot password?").click()
    page.get_by_label("Email").fill("me@example.com")
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_label("Code", exact=True)).to_have_attribute("autocomplete", "one-time-code")
    expect(page.get_by_label("New password", exact=True)).to_have_attribute("autocomplete", "new-password")
    assert page.get_by_role("main").locator("input[autocomplete=username]").input_value() == "me@example.com"


def test_sign_in_with_empty_fields_marks_them(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("button", name="Sign in").click()
    for label, sentence in (("Email", "Enter your email address."), ("Password", "Enter your password.")):
        expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label(label)).to_have_accessible_description(sentence)
    expect(page.get_by_label("Email")).to_be_focused()
    page.get_by_label("Email").fill("a")
    expect(page.get_by_label("Email")).not_to_have_attribute("aria-invalid", "true")
    assert visitor.request_bodies("InitiateAuth") == []


def test_sign_in_wrong_password_and_unknown_user_look_alike(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    for username, password in ((alice.username, "wrong"), ("nobody@example.com", alice.password)):
        page.get_by_label("Email").fill(username)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("Email or password is wrong.")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    expect(page.get_by_label("Email")).to_have_value("nobody@example.com")


SIGN_IN_ERRORS = [
    ("UserNotConfirmedException", "", "This account is not confirmed yet."),
    ("TooManyRequestsException", "", "That were too many tries."),
    ("LimitExceededException", "", "That were too many tries."),
    ("NotAuthorizedException", "Password attempts exceeded", "That were too many tries."),
    ("NotAuthorizedException", "User is disabled.", "This account is switched off."),
    ("com.amazonaws#InternalErrorException", "Something broke.", "Signing in failed. Something broke."),
]


def test_sign_in_error_is_shown_as_sentence(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    for code, message, sentence in SIGN_IN_ERRORS:
        respond_with_cognito_error(page, "InitiateAuth", code, message)
        with page.expect_response(lambda response: response.status == 400):
            sign_in(page, alice)
        expect(page.get_by_role("alert")).to_contain_text(sentence)
        expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


def test_sign_in_unsupported_challenge_is_named(visitor: Visitor, alice: Person) -> None:
    page = visitor.open()
    challenge = {"ChallengeName": "SMS_MFA", "Session": "s", "ChallengeParameters": {}}
    route_operation(page, "InitiateAuth", lambda route: fulfill_json(route, 200, challenge))
    sign_in(page, alice)
    expect(page.get_by_role("alert")).to_contain_text("(SMS_MFA)")


def test_sign_in_without_connection_can_be_retried(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("ERR_FAILED")
    page = visitor.open()
    route_operation(page, "InitiateAuth", lambda route: route.abort())
    sign_in(page, alice)
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    page.unroute_all()
    page.get_by_role("button", name="Sign in").click()
    expect(edit_button(page)).to_be_visible()


def test_sign_in_with_temporary_password_sets_new_one(visitor: Visitor, stack: LocalStack) -> None:
    pool, username = stack.exports["userPoolId"], f"first{next_number()}@example.com"
    stack.aws.client("cognito-idp").admin_create_user(
        UserPoolId=pool, Username=username, TemporaryPassword="First-password-1", MessageAction="SUPPRESS"
    )
    visitor.allow_console_errors("400")
    page = visitor.open()
    page.get_by_label("Email").fill(username)
    page.get_by_label("Password").fill("First-password-1")
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page)).to_have_text("Choose a password")
    new = page.get_by_label("New password", exact=True)
    expect(new).to_be_focused()
    new.fill("short")
    new.press("Enter")
    expect(new).to_have_accessible_description(re.compile("^That password cannot be used."))
    expect(new).to_be_focused()
    new.fill("A-password-of-my-own-1")
    new.press("Enter")
    expect(edit_button(page)).to_be_visible()
    Session.sign_in({**stack.exports, "cognitoEndpoint": stack.aws_url}, username, "A-password-of-my-own-1")


def test_sign_in_with_totp_code_succeeds(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    challenge = {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "s", "ChallengeParameters": {"USER_ID_FOR_SRP": "u"}}
    signed_in: list[Any] = []

    def ask_for_a_code(route: Route) -> None:
        signed_in.append(route.fetch().json())
        fulfill_json(route, 200, challenge)

    def judge(route: Route) -> None:
        right = {"USERNAME": "u", "SOFTWARE_TOKEN_MFA_CODE": "123456"}
        if (route.request.post_data_json or {})["ChallengeResponses"] == right:
            fulfill_json(route, 200, signed_in[0])
        else:
            fulfill_json(route, 400, {"__type": "CodeMismatchException", "message": ""})

    route_operation(page, "InitiateAuth", ask_for_a_code)
    route_operation(page, "RespondToAuthChallenge", judge)
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Enter your code")
    code = page.get_by_label("Code", exact=True)
    expect(code).to_be_focused()
    code.fill("111111")
    code.press("Enter")
    expect(code).to_have_accessible_description("That is not the code. Look again.")
    code.fill("123 456")
    code.press("Enter")
    expect(edit_button(page)).to_be_visible()


def test_sign_in_expired_challenge_starts_again(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    challenge = {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "s", "ChallengeParameters": {}}
    route_operation(page, "InitiateAuth", lambda route: fulfill_json(route, 200, challenge))
    respond_with_cognito_error(
        page, "RespondToAuthChallenge", "NotAuthorizedException", "Invalid session for the user."
    )
    sign_in(page, alice)
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_label("Code", exact=True).press("Enter")
    expect(page.get_by_text("That took too long. Sign in once more.")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(alice.username)
    expect(page.get_by_label("Password")).to_be_focused()


def test_forgotten_password_is_reset_with_code(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    page.get_by_label("Email").fill(alice.username)
    page.get_by_role("button", name="Forgot password?").click()
    expect(page.get_by_label("Email")).to_have_value(alice.username)
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_text(f"If {alice.username} has an account here")).to_be_visible()
    # Moto takes any code but one of its own that is wrong.
    page.get_by_label("Code", exact=True).fill("moto-confirmation-code:0")
    page.get_by_label("New password", exact=True).fill("Another-password-1")
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_label("Code", exact=True)).to_have_accessible_description(re.compile("too old"))
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_role("button", name="Save and sign in").click()
    expect(edit_button(page)).to_be_visible()


def test_forgotten_password_of_unknown_user_looks_alike(visitor: Visitor) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    respond_with_cognito_error(page, "ForgotPassword", "UserNotFoundException")
    page.get_by_role("button", name="Forgot password?").click()
    page.get_by_label("Email").fill("nobody@example.com")
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_text("If nobody@example.com has an account here")).to_be_visible()


def test_sign_in_after_administrator_reset_asks_for_code(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.open()
    respond_with_cognito_error(page, "InitiateAuth", "PasswordResetRequiredException")
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Set a new password")
    page.unroute_all()
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_label("New password", exact=True).fill("Another-password-2")
    page.get_by_role("button", name="Save and sign in").click()
    expect(edit_button(page)).to_be_visible()


def test_sign_in_from_other_profile_returns_to_it(visitor: Visitor, alice: Person, new_person: NewPerson) -> None:
    handle = new_person(display_name="Bob").get()["handle"]
    page = visitor.open(handle)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Back to the profile").click()
    expect(heading(page)).to_have_text("Bob")
    page.get_by_role("button", name="Sign in").click()
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Bob")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert page.url.endswith(f"?handle={handle}")
