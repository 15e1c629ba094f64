"""The official test suite of JSON Schema: what is required of each draft, and its formats.

It comes in jsonschema's source distribution (MIT), which is fetched from the package index with the hash of the lock;
where the index is away the tests fail and say so. The comparison is the program's own, in this process; some of its
cases run in the sandbox too.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest
from jsonschema import validators
from referencing import Registry, Resource
from referencing.jsonschema import specification_with

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.inside.match_schema import validator_of
from tasks.validators.sandbox import default_runtime_folder
from tasks.validators.schema import SchemaValidator
from tasks.validators.warm import WarmSandbox

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

LOCK = Path(__file__).parents[2] / "ops" / "requirements.lock"
DRAFTS = {
    "draft3": validators.Draft3Validator,
    "draft4": validators.Draft4Validator,
    "draft6": validators.Draft6Validator,
    "draft7": validators.Draft7Validator,
    "draft2019-09": validators.Draft201909Validator,
    "draft2020-12": validators.Draft202012Validator,
}
# Where we or the library differ: a part of the file, the group's and the test's names, and why.
DEVIATIONS = {
    "an annotation by default": "formats are checked: that is what a check is for",
    "leap second": "Python's times have no second 60",
    "custom metaschema with with no validation vocabulary": "a $schema of one's own is refused at submit",
    "ecmascript-regex": "patterns are Python's, which has lookbehind and \\a, and no [^]",
}


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """The folder of the suite."""
    folder = tmp_path_factory.mktemp("suite")
    name = f"jsonschema=={version('jsonschema')}"
    (entry,) = re.findall(rf"^{re.escape(name)} \\\n(?:    --hash=\S+(?: \\)?\n)+", LOCK.read_text(), re.MULTILINE)
    (folder / "wanted.txt").write_text(entry)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "jsonschema"]
    command += ["--require-hashes", "-r", str(folder / "wanted.txt"), "-d", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode:
        pytest.fail(f"the source of {name} could not be fetched from the package index: {ran.stderr[-500:]}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz") / "json"


def registry_of(suite, draft, uri):
    """What the suite's schemas may refer to, but for what other drafts have."""
    files = [file.relative_to(suite / "remotes") for file in (suite / "remotes").rglob("*.json")]
    resources = [
        (
            f"http://localhost:1234/{file}",
            Resource.from_contents(
                json.loads((suite / "remotes" / file).read_text()), default_specification=specification_with(uri)
            ),
        )
        for file in files
        if (not file.parts[0].startswith("draft") or file.parts[0] == draft)
        and (file.stem not in ("extendible-dynamic-ref", "tree") or draft.startswith("draft20"))  # of later drafts
    ]
    return Registry().with_resources(resources)


def cases_of(suite, draft):
    """The file's name, the schema, the instance, whether it is valid, and what the test is called."""
    folder = suite / "tests" / draft
    uri = DRAFTS[draft].META_SCHEMA["$schema"]
    for file in [*sorted(folder.glob("*.json")), *sorted((folder / "optional" / "format").glob("*.json"))]:
        for group in json.loads(file.read_text()):
            schema = group["schema"]
            if isinstance(schema, dict) and "$schema" not in schema:
                schema = {"$schema": uri, **schema}
            for test in group["tests"]:
                name = f"{file.stem}: {group['description']}: {test['description']}"
                yield name, schema, test["data"], test["valid"]


@pytest.mark.parametrize("draft", DRAFTS)
def test_each_case_of_a_draft_is_judged_as_the_suite_says(suite, draft):
    uri = DRAFTS[draft].META_SCHEMA["$schema"]
    registry, judged, wrong = registry_of(suite, draft, uri), 0, []
    for name, schema, instance, valid in cases_of(suite, draft):
        by_draft = validator_of(schema, registry) if isinstance(schema, dict) else DRAFTS[draft](schema)
        judged += 1
        if by_draft.is_valid(instance) != valid:
            wrong.append(name)
    assert [name for name in wrong if not any(part in name for part in DEVIATIONS)] == []
    assert judged > 400


def test_each_deviation_is_met(suite):
    names = [name for draft in DRAFTS for name, *_ in cases_of(suite, draft)]
    assert [part for part in DEVIATIONS if not any(part in name for name in names)] == []


@pytest.fixture(scope="module")
def sandbox():
    warm = WarmSandbox(default_runtime_folder(load_settings().cache))
    yield warm
    warm.close()


def test_the_formats_are_checked_in_the_sandbox_too(suite, sandbox):
    """One valid and one invalid text of each format of the draft that is the default."""
    seen, missed = set(), []
    for name, schema, instance, valid in cases_of(suite, "draft2020-12"):
        text = json.dumps(schema)
        if not isinstance(schema, dict) or "format" not in schema or not isinstance(instance, str):
            continue
        if any(part in name for part in DEVIATIONS):
            continue
        if (schema["format"], valid) in seen or schema["format"] == "unknown" or name.startswith("unknown"):
            continue
        seen.add((schema["format"], valid))
        check = CheckSpec(name="schema", kind="schema", value="s.json", files={"s.json": text})
        candidate = f"```json\n{json.dumps(instance)}\n```"
        if SchemaValidator().validate(candidate, check, sandbox, SilentHeartbeat()).passed != valid:
            missed.append(name)
    assert missed == []
    assert len(seen) == 2 * len({form for form, _ in seen}) == 38
