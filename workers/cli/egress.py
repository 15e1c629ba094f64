"""`redraft egress`: exactly what was sent to the cloud for a job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.store.summaries import EgressRow

app = typer.Typer()


@app.command()
def egress(job: JobArgument, as_json: output.Json = False) -> None:
    """Show every request that was sent to the cloud for a job, word for word. --json: one object per line."""
    from workers.cli.client import connect

    with connect() as client:
        rows = client.egress(job)
    for row in rows:
        if as_json:
            output.emit_line(document(row))
        else:
            _print_whole(row)
    if not rows and not as_json:
        print(f"nothing left: no word of job {job} was sent to the cloud")


def document(row: EgressRow) -> dict[str, Any]:
    """A request as `egress --json` writes it; `request` is the body that was sent."""
    return {
        "escalation": row.escalation,
        "iteration": row.iteration,
        "kind": row.kind,
        "model": row.model,
        "state": row.state,
        "response_id": row.response_id,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "usd": row.usd,
        "reserved_usd": row.reserved_usd,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "error": row.error,
        "score_before": row.score_before,
        "value_before": row.value_before,
        "score_after": row.score_after,
        "value_after": row.value_after,
        "accepted": row.accepted,
        "request_sha256": row.request_sha256,
        "redactions": dict(row.redactions),
        "request": json.loads(row.request),
    }


def _texts(request: dict[str, Any]) -> dict[str, str]:
    """Takes the texts out of a request, those of a chat by their roles."""
    messages = request.pop("messages", None)
    if messages is not None:
        return {str(message["role"]): str(message["content"]) for message in messages}
    return {name: str(request.pop(name, "")) for name in ("instructions", "input")}


def outcome(row: EgressRow) -> str:
    """Whether it helped: the best before it, and the best that was written with it."""
    before = output.score_of(row.best_before)
    if row.score_after is None:
        return f"the best before scored {before}; nothing has been written with it yet"
    accepted = "accepted" if row.accepted else "not accepted"
    return f"the best before scored {before}, with it {output.score_of(row.best_after)}, {accepted}"


def _print_whole(row: EgressRow) -> None:
    if row.finished_at is None:
        spent = f"at most {output.usd(row.reserved_usd)} reserved"
    else:
        tokens = f"{output.count(row.prompt_tokens)} tokens in, {output.count(row.completion_tokens)} out"
        spent = f"{output.usd(row.usd)}, {tokens}"
    when = row.created_at.isoformat(timespec="seconds")
    output.line(f"── {when} · iteration {row.iteration} · {row.kind} of {row.model} · {row.state} · {spent}")
    if row.error:
        output.line(f"   {row.error}")
    if row.state == "done":
        output.line(f"   {outcome(row)}")
    if row.request_sha256:
        output.line(f"   sha256 {row.request_sha256} of the request as canonical JSON")
    if row.redactions:
        taken = ", ".join(f"{count} × {kind}" for kind, count in row.redactions.items())
        output.line(f"   redacted before it was sent: {taken}")
    request: dict[str, Any] = json.loads(row.request)
    texts = _texts(request)
    output.pairs([(name, json.dumps(value)) for name, value in request.items()])
    for name, content in texts.items():
        print(f"\n{name}:")
        output.text(content)
    print()
