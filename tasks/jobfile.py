"""Text from outside → plain fields: Markdown with YAML front matter, JSON lines, standard input.

Knows nothing of what the fields mean, nor of checks, queues or the database.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.decoding import decode
from tasks.errors import InvalidInput
from tasks.faults import Faults

# A problem is read by a model whose window is a small part of this.
PROBLEM_BYTES = 1_000_000
# Ten thousand jobs of ten kilobytes, with room to spare.
JSON_LINES_BYTES = 256_000_000
FRONT_MATTER_BYTES = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RawJob:
    """One job as it was written: `where` names it in messages, relative paths start at `folder`; `file` is the name of
    its file there, empty where it has none."""

    where: str
    folder: Path
    fields: Mapping[str, Any]
    problem: str
    file: str = ""


def read_source(name: str, stdin: Callable[[], bytes], faults: Faults) -> list[RawJob]:
    """The jobs of one FILE argument that can be read: a Markdown file, a `.jsonl` file, or `-` for standard input.

    Standard input that begins with `{"` is taken as JSON lines. What can't be read is kept in `faults`.
    """
    jobs: list[RawJob] = []
    with faults.gather():
        jobs = _read_source(name, stdin, faults)
    return jobs


def _read_source(name: str, stdin: Callable[[], bytes], faults: Faults) -> list[RawJob]:
    if name == "-":
        text, where, folder, file = _decode(stdin(), "standard input"), "standard input", Path.cwd(), ""
        is_lines = text.lstrip().startswith('{"')
    else:
        path = Path(name).expanduser()
        is_lines = path.suffix.lower() in (".jsonl", ".ndjson")
        text = _decode(_read(path, JSON_LINES_BYTES if is_lines else PROBLEM_BYTES + FRONT_MATTER_BYTES), name)
        where, folder, file = name, path.resolve().parent, path.resolve().name
    jobs = parse_json_lines(text, where, folder, faults) if is_lines else [parse_markdown(text, where, folder)]
    return [dataclasses.replace(job, file=file) for job in jobs]


def parse_markdown(text: str, where: str, folder: Path) -> RawJob:
    """A Markdown text; its front matter, where there is any, lies between two lines of `---`. Raises `InvalidInput`."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return RawJob(where=where, folder=folder, fields={}, problem=text)
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        raise InvalidInput(
            f"{where}: front matter", "---", "it begins at line 1 and must be closed by a line of its own, ---"
        )
    head = "\n".join(lines[1:end])
    if len(head) > FRONT_MATTER_BYTES:
        raise InvalidInput(f"{where}: front matter", f"{len(head)} characters", f"at most {FRONT_MATTER_BYTES:,}")
    fields = parse_yaml(head, f"{where}: front matter", first_line=2)
    if fields is None:
        fields = {}
    if not isinstance(fields, dict):
        raise InvalidInput(f"{where}: front matter", fields, "lines of `field: value`")
    return RawJob(where=where, folder=folder, fields=_named(fields, where), problem="\n".join(lines[end + 1 :]))


def parse_json_lines(text: str, where: str, folder: Path, faults: Faults) -> list[RawJob]:
    """One job an object a line, its text in `problem`; empty lines are skipped. A line that is none is kept in
    `faults`. Raises `InvalidInput` where there is no line."""
    lines = [(f"{where} line {number}", line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InvalidInput(where, "", "a file of JSON lines holds at least one job")
    jobs = []
    for here, line in lines:
        with faults.gather():
            jobs.append(_parse_line(line, here, folder))
    return jobs


def _parse_line(line: str, here: str, folder: Path) -> RawJob:
    fields = _parse_json(line, here)
    problem = fields.pop("problem", None)
    if not isinstance(problem, str):
        raise InvalidInput(f"{here}: problem", problem, "each line needs the problem's text in `problem`")
    return RawJob(where=here, folder=folder, fields=_named(fields, here), problem=problem)


def parse_yaml(text: str, where: str, *, first_line: int = 1) -> Any:
    """One YAML document under the rules of `_Loader`. Raises `InvalidInput` with line and column."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (_Loader is a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f" line {mark.line + first_line} column {mark.column + 1}" if mark else ""
        shown = text.split("\n")[mark.line].strip() if mark and mark.line < text.count("\n") + 1 else text
        raise InvalidInput(f"{where}{at}", shown, f"not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise InvalidInput(where, chr(error.character), "control characters cannot stand in YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise InvalidInput(where, text, f"not valid YAML: {reason}") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML with the scalars of YAML 1.2 (`no`, `12:30` and `2024-01-01` stay text; 2_000_000 is a
    number), where a field given twice and aliases, which can blow a small file up, are errors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012  (PyYAML's own class attribute)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed here", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a field's name must be text", key.start_mark)
            if key.value in seen:
                problem = f"the field {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _resolve(tag: str, pattern: str, first: Sequence[str]) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolve("int", r"^(?:[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+)$", "-+0123456789")
_resolve(
    "float",
    r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    "-+0123456789.",
)
_resolve("null", r"^(?:~|null|Null|NULL|)$", ("~", "n", "N", ""))


def _parse_json(line: str, where: str) -> dict[str, Any]:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no number of JSON")

    try:
        fields = json.loads(line, object_pairs_hook=_unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{where} column {error.colno}", line.strip(), f"not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(where, line.strip(), f"not valid JSON: {str(error) or 'nested too deeply'}") from None
    if not isinstance(fields, dict):
        raise InvalidInput(where, fields, "each line must be one JSON object")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the field {name!r} is given twice")
        fields[name] = value
    return fields


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        hint = "; URLs are not fetched" if "://" in str(path) or ":/" in str(path) else ""
        raise InvalidInput("FILE", str(path), f"it cannot be read: {reason}{hint}") from None
    if len(content) > limit:
        raise InvalidInput("FILE", str(path), f"it is larger than {limit:,} bytes")
    return content


def _decode(content: bytes, where: str) -> str:
    try:
        text = decode(content)
    except ValueError as error:
        allowed = f"{error}; a job file is in UTF-8, or in UTF-16 with its mark"
        raise InvalidInput(where, content[:20], allowed) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{where} line {line}", "\0", "a job file holds no NUL bytes; UTF-16 begins with its mark")
    return text


def _named(fields: Mapping[Any, Any], where: str) -> Mapping[str, Any]:
    for name in fields:
        if not isinstance(name, str):
            raise InvalidInput(f"{where}: field", name, "a field's name must be text")
    return dict(fields)
