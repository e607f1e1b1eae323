"""What the documents say, held against what they speak of, so that neither can change alone."""

from __future__ import annotations

import ast
import base64
import datetime
import io
import json
import re
import runpy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bench import cost
from components.config import ConfigurationError, StackConfig
from functions.process_avatar.imaging import renderer
from local.recording.recorder import Resource, run_program

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
SECURITY = ROOT / "docs" / "security.md"
PICTURE = ROOT / "docs" / "architecture.svg"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def section(document: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of the same level or above."""
    lines = document.read_text().splitlines()
    start = lines.index(heading)
    level = heading.partition(" ")[0]
    for end in range(start + 1, len(lines)):
        if re.match(rf"#{{1,{len(level)}}} ", lines[end]):
            return "\n".join(lines[start + 1 : end])
    return "\n".join(lines[start + 1 :])


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, without its two lines of heading."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^ *\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in block.splitlines()]
        found.append([[cell.strip() for cell in row] for row in rows[2:]])
    return found


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """The anchor GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(document: Path) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


# --- Configuration and outputs ----------------------------------------------------------------------------------------


def settings() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def allowed_values() -> dict[str, str]:
    """By key, what the program itself says is allowed when every key has a value that is not."""
    wrong = {"array": "[0]", "boolean": "perhaps", "integer": "many", "string": "not this!"}
    config = {f"avatars:{key}": wrong[schema["type"]] for key, schema in settings().items()}
    with pytest.raises(ConfigurationError) as refusal:
        run_program(StackConfig.load, config={"aws:region": "eu-west-1", **config}, create=nothing, invoke=nobody)
    mistakes = re.findall(r"avatars:(\w+) is .*?; allowed is (.*)", str(refusal.value))
    return dict(mistakes)


def nothing(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    raise AssertionError(f"{resource.name} was made")


def nobody(token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
    raise AssertionError(f"{token} was called")


def test_the_configuration_table_says_what_the_project_file_and_the_rules_say() -> None:
    allowed = allowed_values()
    rows = [
        [f"`{key}`", f"`{json.dumps(schema['default'])}`", " ".join(schema["description"].split()), allowed[key]]
        for key, schema in settings().items()
    ]
    heading = ["| key | default | what it does | allowed |", "|---|---|---|---|"]
    expected = "\n".join([*heading, *("| " + " | ".join(row).replace("<", "&lt;") + " |" for row in rows)])
    assert expected in section(README, "## Configuration"), f"the table must be:\n{expected}"


def test_the_outputs_table_names_what_the_program_exports_in_its_order() -> None:
    program = ast.parse((ROOT / "__main__.py").read_text())
    exported = [
        node.args[0].value
        for node in ast.walk(program)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "pulumi.export"
        and isinstance(node.args[0], ast.Constant)
    ]
    (rows,) = tables(section(README, "## Outputs"))
    assert [row[0].strip("`") for row in rows] == exported


# --- The contract -----------------------------------------------------------------------------------------------------


def calls(folder: str, *names: str) -> Iterator[ast.Call]:
    """The calls of functions of these names, whatever they are qualified with."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                yield node


def constants(call: ast.Call) -> list[Any]:
    return [argument.value for argument in call.args if isinstance(argument, ast.Constant)]


def test_the_api_document_has_every_route_and_the_readme_too() -> None:
    routes = sorted(constants(call)[0] for call in calls("components", "add_route"))
    headings = re.findall(r"^## ((?:GET|POST|PUT|DELETE) .*)$", API.read_text(), re.MULTILINE)
    (rows,) = tables(section(README, "## The HTTP contract"))
    assert sorted(headings) == routes
    assert [row[0].strip("`") for row in rows] == headings


def test_the_api_document_has_every_error_code_and_no_other() -> None:
    raised = {tuple(constants(call)[:2]) for call in calls("functions", "failure", "ClientError")}
    rows = tables(section(API, "## Errors"))[1]
    assert {(int(status), code.strip("`")) for status, code, _ in rows} == raised - {()}


def test_the_api_document_has_every_reason_for_a_rejection() -> None:
    (rows,) = tables(section(API, "## Rejections"))
    assert [row[0].strip("`") for row in rows] == list(get_args(renderer.Reason))


# --- What it costs ----------------------------------------------------------------------------------------------------


def test_the_cost_tables_are_what_make_cost_computes() -> None:
    text = README.read_text()
    assert cost.format_report() in section(README, "## What it costs"), "make cost writes them"
    assert cost.insert_report(text) == text


def test_every_figure_of_the_cost_has_its_price_and_the_prices_their_sources() -> None:
    bill = tables(section(README, "## What it costs"))[0]
    sources = {price.source for price in cost.load_prices().values()}
    assert {link for row in bill for link in re.findall(r"\((https://\S+)\)", row[0])} <= sources
    for price in cost.load_prices().values():
        assert urlsplit(price.source).hostname == "aws.amazon.com"


# --- Programs in the documents ----------------------------------------------------------------------------------------


def test_the_component_in_the_readme_works_in_a_program_of_its_own(tmp_path: Path) -> None:
    (program,) = code_blocks(section(README, "## Taking one component"), "python")
    main = tmp_path / "__main__.py"
    main.write_text(program)
    graph = run_program(main, config={}, create=any_resource, invoke=account)
    assert graph.exports == {"bucket": "pictures-assets-id", "url": "https://d111111abcdef8.cloudfront.net"}
    assert graph.named("pictures").type == "avatars:index:AssetsCdn"
    assert len(graph.of_type("aws:cloudfront/distribution:Distribution")) == 1


def any_resource(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    id_ = f"{resource.name}-id"
    return id_, {
        "arn": f"arn:aws:any:::{id_}",
        "bucket": id_,
        "bucketRegionalDomainName": f"{id_}.s3.eu-west-1.amazonaws.com",
        "domainName": "d111111abcdef8.cloudfront.net",
        "hostedZoneId": "ZCLOUDFRONT",
        "name": id_,
    }


def account(token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
    assert token == "aws:index/getCallerIdentity:getCallerIdentity"
    return {"accountId": "123456789012", "arn": "", "userId": "", "id": ""}


class Sns:
    """Signs messages as SNS does, and serves its certificate and confirmations."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.fetched: list[str] = []

    def message(self, **fields: str) -> dict[str, str]:
        message = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "Message": json.dumps({"event": "avatar.ready"}),
            "Timestamp": "2026-11-20T12:00:01.345Z",
            **fields,
        }
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), SHA256())
        return {
            **message,
            "SignatureVersion": "2",
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        }

    def open(self, url: str, timeout: float) -> io.BytesIO:
        assert timeout == 5
        self.fetched.append(url)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, self.key.public_key(), 1, now, now + datetime.timedelta(days=1))
        return io.BytesIO(builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM))


@pytest.fixture(scope="module")
def sns() -> Sns:
    return Sns()


@pytest.fixture
def receiver(sns: Sns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The receiver in the API document, as a module."""
    (program,) = code_blocks(section(API, "## The webhook"), "python")
    (tmp_path / "receiver.py").write_text(program)
    monkeypatch.setattr("urllib.request.urlopen", sns.open)
    return runpy.run_path(str(tmp_path / "receiver.py"))


def test_the_webhook_receiver_believes_what_is_signed_for_its_topic_and_nothing_else(
    receiver: dict[str, Any], sns: Sns
) -> None:
    receive: Callable[[bytes], Any] = receiver["receive"]
    good = sns.message(TopicArn=receiver["TOPIC"])
    assert receive(json.dumps(good).encode()) == {"event": "avatar.ready"}
    with pytest.raises(InvalidSignature):
        receive(json.dumps({**good, "Message": '{"event": "avatar.rejected"}'}).encode())
    with pytest.raises(ValueError, match="not from our topic"):
        receive(json.dumps(sns.message(TopicArn="arn:aws:sns:eu-west-1:210987654321:another")).encode())
    elsewhere = "https://sns.eu-west-1.amazonaws.com.example.com/SimpleNotificationService-0123abcd.pem"
    with pytest.raises(ValueError, match="not a certificate of SNS"):
        receive(json.dumps({**good, "SigningCertURL": elsewhere}).encode())


def test_the_webhook_receiver_confirms_its_subscription_with_sns_only(receiver: dict[str, Any], sns: Sns) -> None:
    receive: Callable[[bytes], Any] = receiver["receive"]
    confirmation = {"Type": "SubscriptionConfirmation", "TopicArn": receiver["TOPIC"], "Token": "2336412f37fb"}
    address = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37fb"
    assert receive(json.dumps(sns.message(**confirmation, SubscribeURL=address)).encode()) is None
    assert address in sns.fetched
    with pytest.raises(ValueError, match="not an address of SNS"):
        receive(json.dumps(sns.message(**confirmation, SubscribeURL="https://example.com/")).encode())


# --- References -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", prose(linked), re.MULTILINE)
            assert anchor in map(slug, headings), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z]+)\b", document.read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


def test_every_test_that_the_security_document_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", SECURITY.read_text())
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert named
    assert missing == []


def test_the_picture_is_an_image_with_a_description_that_fetches_nothing() -> None:
    text = PICTURE.read_text()
    picture = ElementTree.fromstring(text)  # noqa: S314 - our own file
    assert picture.get("role") == "img"
    assert picture.findtext("{*}title") == "The way an image goes"
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"href=|@import|url\((?!#)", text) == []


# --- Workflows --------------------------------------------------------------------------------------------------------


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    return [step for job in jobs.values() for step in job.get("steps", [])]


def test_there_are_workflows_to_look_at() -> None:
    assert [workflow.stem for workflow in WORKFLOWS] == ["check", "deploy", "preview"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(workflow: Path) -> None:
    for line in re.findall(r"uses: (.*)", workflow.read_text()):
        assert line.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_action_has_one_version_in_all_workflows() -> None:
    used = {line for workflow in WORKFLOWS for line in re.findall(r"uses: ([\w-]+/.*)", workflow.read_text())}
    assert len(used) == len({line.partition("@")[0] for line in used})


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_but_those_its_jobs_name(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())
    assert content["permissions"] == {}
    for job in content["jobs"].values():
        rights = job["permissions"]
        assert {name for name, level in rights.items() if level == "write"} <= {"id-token", "pull-requests"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_no_checkout_leaves_its_token_behind_and_no_key_of_aws_is_stored(workflow: Path) -> None:
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert re.findall(r"secrets\.AWS\w*|aws-access-key-id", workflow.read_text()) == []


def test_workflows_run_the_pulumi_that_the_program_is_written_for() -> None:
    pin = re.search(r"^pulumi==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pin
    versions = {
        step["with"]["pulumi-version"]
        for workflow in WORKFLOWS
        for step in steps(workflow)
        if step.get("uses", "").startswith("pulumi/actions@")
    }
    assert versions == {pin[1]}
