"""Compares the documents with the code, so that neither changes without the other."""

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
from components.configuration import ConfigurationError, StackConfig
from functions.process_avatar import process_upload
from functions.shared import storage_keys
from functions.shared.square_crop import SquareCrop
from local.recording.graph import Graph, Resource
from local.recording.recorder import run_program
from tests.components.conftest import create, invoke, stand_in_packages, use_packages

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
COMPONENTS = ROOT / "docs" / "components.md"
COST = ROOT / "docs" / "cost.md"
SECURITY = ROOT / "docs" / "security.md"
ARCHITECTURE = ROOT / "docs" / "architecture.svg"
DECISIONS = ROOT / "docs" / "decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
DOCUMENTS = (README, *sorted((ROOT / "docs").rglob("*.md")))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAX_README_WORDS = 1_200


def section(document: Path, heading: str) -> str:
    """The text below a heading, up to the next heading of the same or a higher level."""
    lines = document.read_text().splitlines()
    start = lines.index(heading)
    level = heading.partition(" ")[0]
    for end in range(start + 1, len(lines)):
        if re.match(rf"#{{1,{len(level)}}} ", lines[end]):
            return "\n".join(lines[start + 1 : end])
    return "\n".join(lines[start + 1 :])


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, without the header row and its delimiter."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^ *\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in block.splitlines()]
        found.append([[cell.strip() for cell in row] for row in rows[2:]])
    return found


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """The anchor that GitHub generates for a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(document: Path) -> str:
    """The text without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


# --- Configuration and outputs ----------------------------------------------------------------------------------------


def settings() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def allowed_values() -> dict[str, str]:
    """The allowed values by key, from the error message for a configuration in which every value is invalid."""
    wrong = {"array": "[0]", "boolean": "perhaps", "integer": "many", "object": "[]", "string": "not this!"}
    config = {f"avatars:{key}": wrong[schema["type"]] for key, schema in settings().items()}
    with pytest.raises(ConfigurationError) as refusal:
        run_program(
            StackConfig.load, config={"aws:region": "eu-west-1", **config}, create=fail_create, invoke=fail_invoke
        )
    mistakes = re.findall(r"avatars:(\w+) is .*?; allowed is (.*)", str(refusal.value))
    return dict(mistakes)


def fail_create(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    raise AssertionError(f"{resource.name} was made")


def fail_invoke(token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
    raise AssertionError(f"{token} was called")


def test_configuration_table_matches_pulumi_yaml_and_rules() -> None:
    allowed = allowed_values()
    rows = [
        [f"`{key}`", f"`{json.dumps(schema['default'])}`", " ".join(schema["description"].split()), allowed[key]]
        for key, schema in settings().items()
    ]
    heading = ["| key | default | what it does | allowed |", "|---|---|---|---|"]
    expected = "\n".join([*heading, *("| " + " | ".join(row).replace("<", "&lt;") + " |" for row in rows)])
    assert expected in section(CONFIGURATION, "## Configuration"), "run python -m components.configuration_reference"


def test_outputs_table_matches_program_exports_in_order() -> None:
    program = ast.parse((ROOT / "__main__.py").read_text())
    exported = [
        node.args[0].value
        for node in ast.walk(program)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "pulumi.export"
        and isinstance(node.args[0], ast.Constant)
    ]
    (rows,) = tables(section(CONFIGURATION, "## Outputs"))
    assert [row[0].strip("`") for row in rows] == exported


# --- HTTP API ---------------------------------------------------------------------------------------------------------


def calls(folder: str, *names: str) -> Iterator[ast.Call]:
    """The calls of functions with these names, qualified or not."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                yield node


def constants(call: ast.Call) -> list[Any]:
    return [argument.value for argument in call.args if isinstance(argument, ast.Constant)]


def test_api_headings_and_route_table_match_registered_routes() -> None:
    routes = sorted(constants(call)[0] for call in calls("components", "ApiRoute"))
    headings = re.findall(r"^## ((?:GET|POST|PUT|DELETE) .*)$", API.read_text(), re.MULTILINE)
    (rows,) = tables(section(API, "## Routes"))
    assert sorted(headings) == routes
    assert [row[0].strip("`") for row in rows] == headings


def test_error_table_matches_raised_statuses_and_codes() -> None:
    raised = {tuple(constants(call)[:2]) for call in calls("functions", "error_response", "ClientError")}
    rows = tables(section(API, "## Errors"))[1]
    assert {(int(status), code.strip("`")) for status, code, _ in rows} == raised - {()}


def test_rejection_table_matches_reasons() -> None:
    (rows,) = tables(section(API, "## Rejections"))
    assert [row[0].strip("`") for row in rows] == [
        *get_args(process_upload.RejectionReason),
        "deleted",  # by upload_status
    ]


# --- Cost -------------------------------------------------------------------------------------------------------------


def test_cost_tables_match_make_cost() -> None:
    assert cost.format_report() in section(COST, "## A million uploads"), "run make cost"
    assert cost.format_monthly_report() in section(COST, "## A month"), "run make cost"
    assert cost.format_monthly_totals() in README.read_text(), "run make cost"
    for document in cost.DOCUMENTS:
        assert cost.insert_reports(document.read_text()) == document.read_text()


def test_monthly_cost_columns_add_up_to_totals() -> None:
    (rows,) = tables(section(COST, "## A month"))
    amounts = [[float(cell.strip("*")) for cell in row[1:]] for row in rows]
    for *items, total in zip(*amounts, strict=True):
        assert sum(items) == pytest.approx(total, abs=0.005 * (len(items) + 1))


def test_monthly_uploads_match_price_of_a_million() -> None:
    (rows,) = tables(section(COST, "## A month"))
    (million,) = re.findall(r"A million uploads with the default sizes: \*\*\$([\d.]+)\*\*", COST.read_text())
    for users, cell in zip(cost.USERS, rows[0][1:], strict=True):
        assert float(cell) == pytest.approx(float(million) * users / 1_000_000, abs=0.0051)


def test_bill_links_are_price_sources_on_aws() -> None:
    bill = tables(section(COST, "## A million uploads"))[0]
    sources = {price.source for price in cost.load_prices().values()}
    assert {link for row in bill for link in re.findall(r"\((https://\S+)\)", row[0])} <= sources
    for price in cost.load_prices().values():
        assert urlsplit(price.source).hostname == "aws.amazon.com"


# --- Programs in the documents ----------------------------------------------------------------------------------------


def run_example(heading: str, folder: Path) -> Graph:
    (program,) = code_blocks(section(COMPONENTS, heading), "python")
    main = folder / "__main__.py"
    main.write_text(program)
    with use_packages(stand_in_packages(folder)):
        return run_program(main, config={}, create=create, invoke=invoke)


def test_component_example_runs_whole_service(tmp_path: Path) -> None:
    graph = run_example("## The whole service", tmp_path)
    assert graph.named("avatars").type == "avatars:index:AvatarService"
    assert set(graph.exports) == {"apiUrl", "queueArn"}
    retentions = {group.inputs["retentionInDays"] for group in graph.of_type("aws:cloudwatch/logGroup:LogGroup")}
    assert retentions == {90}


def test_component_example_runs_cdn_and_pipeline_alone(tmp_path: Path) -> None:
    graph = run_example("## CDN and pipeline alone", tmp_path)
    assert graph.exports == {"avatar": "https://d111111abcdef8.cloudfront.net/avatars/u1.jpg"}
    assert {resource.type for resource in graph if not resource.custom} == {
        "avatars:index:AssetsCdn",
        "avatars:index:AvatarPipeline",
        "avatars:index:PrivateBucket",
        "avatars:index:PythonFunction",
    }
    assert {function.inputs["handler"] for function in graph.of_type("aws:lambda/function:Function")} == {
        "functions.process_avatar.handler.handle",
        "functions.finish_upload.handler.handle",
        "functions.sweep_avatars.handler.handle",
        "functions.erase_user.handler.handle",
    }
    storage_keys.parse_incoming_key(graph.named("photo").inputs["key"])


def test_components_document_shows_a_valid_crop_and_id_length() -> None:
    text = section(COMPONENTS, "## Objects in the uploads bucket")
    (crop,) = re.findall(r"x-amz-meta-crop: ([\d.,]+)", text)
    assert SquareCrop.parse(crop).text == crop
    (length,) = re.findall(r"at most (\d+)\.", text)
    etag_digits = 8
    assert storage_keys.variant_key("u1", "0" * int(length) + "-" + "0" * etag_digits, 256)
    with pytest.raises(ValueError, match="cannot be part of a key"):
        storage_keys.variant_key("u1", "0" * (int(length) + 1) + "-" + "0" * etag_digits, 256)


class Sns:
    """Signs messages like SNS, and serves its certificate and the confirmation URL."""

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
    """The receiver of the API document, as a module's globals."""
    (program,) = code_blocks(section(API, "## The webhook"), "python")
    (tmp_path / "receiver.py").write_text(program)
    monkeypatch.setattr("urllib.request.urlopen", sns.open)
    return runpy.run_path(str(tmp_path / "receiver.py"))


def test_webhook_receiver_accepts_only_messages_signed_for_topic(receiver: dict[str, Any], sns: Sns) -> None:
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


def test_webhook_receiver_confirms_only_sns_subscribe_url(receiver: dict[str, Any], sns: Sns) -> None:
    receive: Callable[[bytes], Any] = receiver["receive"]
    confirmation = {"Type": "SubscriptionConfirmation", "TopicArn": receiver["TOPIC"], "Token": "2336412f37fb"}
    address = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37fb"
    assert receive(json.dumps(sns.message(**confirmation, SubscribeURL=address)).encode()) is None
    assert address in sns.fetched
    with pytest.raises(ValueError, match="not an address of SNS"):
        receive(json.dumps(sns.message(**confirmation, SubscribeURL="https://example.com/")).encode())


# --- References -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(document: Path) -> None:
    text = prose(document)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
        r'<(?:img|source) [^>]*src(?:set)?="([^"<]+)"', text
    ):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", prose(linked), re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_links_to_source_files_have_their_names() -> None:
    for document in DOCUMENTS:
        for text, target in re.findall(r"\[`?([\w./-]+\.\w{2,4})`?\]\(([^)#\s]+)", prose(document)):
            assert Path(target).name == Path(text).name, f"{document.name}: [{text}]({target})"


def test_documents_named_in_code_exist() -> None:
    named: set[str] = set()
    for folder in (
        "bench",
        "client",
        "components",
        "functions",
        "fuzz",
        "lambda_packages",
        "load",
        "local",
        "migrations",
        "operations",
        "web",
    ):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in {".py", ".js", ".html", ".toml"} and "node_modules" not in file.parts:
                named.update(re.findall(r"\bdocs/[\w./-]+\.md\b", file.read_text()))
    for file in (*WORKFLOWS, ROOT / "Makefile", ROOT / "__main__.py", ROOT / "Pulumi.yaml", ROOT / "pyproject.toml"):
        named.update(re.findall(r"\bdocs/[\w./-]+\.md\b", file.read_text()))
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_make_targets_exist(document: Path) -> None:
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


def test_tests_named_in_security_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", SECURITY.read_text())
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert named
    assert missing == []


def test_architecture_svg_is_labeled_and_fetches_nothing() -> None:
    text = ARCHITECTURE.read_text()
    picture = ElementTree.fromstring(text)  # noqa: S314 - a file of this repository
    assert picture.get("role") == "img"
    assert picture.findtext("{*}title") == "Architecture of the stack"
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"href=|@import|url\((?!#)", text) == []


# --- README, decisions, placeholders ----------------------------------------------------------------------------------


def test_readme_has_fewer_words_than_limit() -> None:
    assert len(README.read_text().split()) < MAX_README_WORDS


def test_readme_folder_table_lists_every_top_level_folder() -> None:
    (rows,) = tables(section(README, "## Folders"))
    listed = [re.findall(r"\]\((\w+)\)", row[0]) for row in rows]
    ignored = {"__pycache__", "node_modules"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - ignored
    assert folders <= {name for names in listed for name in names}
    assert all(re.fullmatch(r"[A-Z][^.]*\.", row[1]) for row in rows), "one sentence for each folder"


def test_decision_numbers_have_no_gaps() -> None:
    assert [record.name[:4] for record in RECORDS] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]
    assert sorted(DECISIONS.iterdir()) == sorted([*RECORDS, DECISIONS / "README.md"])


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_decision_has_title_and_five_fields(record: Path) -> None:
    text = record.read_text()
    assert re.match(rf"# {int(record.name[:4])}\. \S.*\n\n- Status: \S.*\n- Date: \S+\n\n## Context\n", text)
    assert re.findall(r"^#+ .*$", prose(record), re.MULTILINE)[1:] == ["## Context", "## Decision", "## Consequences"]
    for heading in ("## Context", "## Decision", "## Consequences"):
        assert section(record, heading).strip()
    status, date = decision_status(record), decision_date(record)
    assert status == "accepted" or re.fullmatch(r"superseded by \[(\d{4})\]\(\1-[\w-]+\.md\)", status)
    assert datetime.date.fromisoformat(date) >= datetime.date(2026, 11, 20)


def test_decision_table_lists_every_record() -> None:
    (rows,) = tables((DECISIONS / "README.md").read_text())
    assert rows == [
        [f"[{record.name[:4]}]({record.name})", decision_title(record), decision_status(record), decision_date(record)]
        for record in RECORDS
    ]


def decision_title(record: Path) -> str:
    return record.read_text().partition("\n")[0].partition(". ")[2]


def decision_status(record: Path) -> str:
    (status,) = re.findall(r"^- Status: (.*)$", record.read_text(), re.MULTILINE)
    return status


def decision_date(record: Path) -> str:
    (date,) = re.findall(r"^- Date: (.*)$", record.read_text(), re.MULTILINE)
    return date


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_has_no_placeholder(document: Path) -> None:
    assert "{{" not in prose(document)


# --- Workflows --------------------------------------------------------------------------------------------------------


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    return [step for job in jobs.values() for step in job.get("steps", [])]


def test_workflows_are_check_deploy_and_preview() -> None:
    assert [workflow.stem for workflow in WORKFLOWS] == ["check", "deploy", "preview"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_actions_are_pinned_to_commit_with_version(workflow: Path) -> None:
    for line in re.findall(r"uses: (.*)", workflow.read_text()):
        assert line.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_each_action_has_one_version_in_all_workflows() -> None:
    used = {line for workflow in WORKFLOWS for line in re.findall(r"uses: ([\w-]+/.*)", workflow.read_text())}
    assert len(used) == len({line.partition("@")[0] for line in used})


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_permissions_are_granted_per_job_only(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())
    assert content["permissions"] == {}
    for job in content["jobs"].values():
        rights = job["permissions"]
        assert {name for name, level in rights.items() if level == "write"} <= {"id-token", "pull-requests"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_checkouts_keep_no_token_and_no_aws_key_is_stored(workflow: Path) -> None:
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert re.findall(r"secrets\.AWS\w*|aws-access-key-id", workflow.read_text()) == []


def test_workflows_use_pinned_pulumi_version() -> None:
    pin = re.search(r"^pulumi==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pin
    versions = {
        step["with"]["pulumi-version"]
        for workflow in WORKFLOWS
        for step in steps(workflow)
        if step.get("uses", "").startswith("pulumi/actions@")
    }
    assert versions == {pin[1]}
