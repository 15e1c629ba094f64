"""`redraft`: finds the command's module when it is called, and turns every error into a line and an exit code.

Must stay cheap to import: `redraft --help` loads none of the commands.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined]
from typer.exceptions import TyperException
from typer.main import get_command, get_group

from tasks.errors import InvalidInput, RedraftError
from tasks.printable import printable
from workers.cli.defaults import keep_defaults

# What the system refuses, and no traceback explains any better.
OF_THE_SYSTEM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
)
# Of a file of ten thousand lines with the same fault, as many as a person reads.
FAULTS_SHOWN = 100
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a command lives: `module`'s `app`, as a whole (`group`) or its command of the same name."""

    module: str
    help: str
    group: bool = False


COMMANDS: dict[str, Entry] = {
    "up": Entry(module="workers.cli.stack", help="Start the local stack and wait until it can take work."),
    "down": Entry(module="workers.cli.status", help="Stop the local stack and everything it started."),
    "status": Entry(module="workers.cli.status", help="Show each part of the local stack: pid, port, health."),
    "demo": Entry(module="workers.cli.demo", help="Start the stack and watch it solve real problems."),
    "new": Entry(module="workers.cli.new", help="Write a job file to begin with."),
    "submit": Entry(module="workers.cli.submit", help="Submit problems: Markdown, JSON lines or standard input."),
    "ls": Entry(module="workers.cli.jobs", help="List jobs, newest first."),
    "show": Entry(module="workers.cli.jobs", help="Show one job."),
    "watch": Entry(module="workers.cli.watch", help="Follow jobs live until they are finished."),
    "logs": Entry(module="workers.cli.logs", help="Show what happens at a job, with -f as it streams."),
    "ui": Entry(module="workers.cli.ui", help="Print a link that opens the live page."),
    "wait": Entry(module="workers.cli.watch", help="Wait silently until jobs are finished."),
    "result": Entry(module="workers.cli.jobs", help="Print a job's answer; while it runs, the best so far."),
    "history": Entry(module="workers.cli.history", help="Show a job's iterations and their verdicts."),
    "diff": Entry(module="workers.cli.history", help="Compare the best candidates of two iterations."),
    "compare": Entry(module="workers.cli.compare", help="Compare jobs, or groups of jobs: solved, tokens, time, cost."),
    "report": Entry(module="workers.cli.report", help="Write a self-contained HTML page about a job."),
    "export": Entry(module="workers.cli.export", help="Export a job's state, its iterations, or a table of jobs."),
    "egress": Entry(module="workers.cli.egress", help="Show word for word what was sent to the cloud for a job."),
    "escalation": Entry(module="workers.cli.escalation", help="List and settle requests to the cloud.", group=True),
    "cancel": Entry(module="workers.cli.lifecycle", help="Cancel jobs; their best answers stay readable."),
    "pause": Entry(module="workers.cli.lifecycle", help="Pause jobs; they keep their progress."),
    "resume": Entry(module="workers.cli.lifecycle", help="Resume paused jobs."),
    "retry": Entry(module="workers.cli.lifecycle", help="Continue a job that finished without an accepted answer."),
    "fork": Entry(module="workers.cli.lifecycle", help="Start a new job from an iteration of another one."),
    "edit": Entry(module="workers.cli.edit", help="Change the budget, priority or tags of a job."),
    "hint": Entry(module="workers.cli.advice", help="Give a job advice, which its next iteration sees."),
    "answer": Entry(module="workers.cli.advice", help="Answer what a job asks you."),
    "budget": Entry(module="workers.cli.budget", help="Limit what may be used in a day, and show it.", group=True),
    "hooks": Entry(module="workers.cli.hooks", help="List, test and retry who is told of events.", group=True),
    "cost": Entry(module="workers.cli.cost", help="Add up tokens and dollars by job, owner, model or day."),
    "sql": Entry(module="workers.cli.sql", help="Query the documented views, read-only."),
    "memory": Entry(module="workers.cli.memory", help="Search and manage the lessons of earlier jobs.", group=True),
    "guard": Entry(module="workers.cli.guard", help="Look for endless repetition in texts.", group=True),
    "bench": Entry(module="workers.cli.bench", help="Compare strategies on sets of tasks.", group=True),
    "worker": Entry(module="workers.cli.worker", help="Run a worker, which takes turns at jobs."),
    "relay": Entry(module="workers.cli.worker", help="Run the relay, which wakes workers."),
    "metrics": Entry(module="workers.cli.metrics", help="Serve the metrics to Prometheus."),
    "engine": Entry(module="workers.cli.engine", help="Fetch, serve and probe the local model.", group=True),
    "sandbox": Entry(module="workers.cli.sandbox", help="Manage the packages that checks may import.", group=True),
    "db": Entry(module="workers.cli.db", help="Manage the database's schema and logins.", group=True),
    "alive": Entry(module="workers.cli.alive", help="Exit 0 if this machine's worker, or the relay, is working."),
    "doctor": Entry(module="workers.cli.doctor", help="Check everything that Redraft needs, and say what to do."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called, and listed from `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, imported now; None where there is none."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        app: typer.Typer = importlib.import_module(entry.module).app
        app.rich_markup_mode = None  # one look for all, and no import of rich for a page of help
        loaded = get_group(app)
        command = loaded if entry.group else loaded.commands[cmd_name]
        keep_defaults(command)
        command.name = cmd_name
        command.help = command.help or entry.help
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The names of commands and options, without importing a command."""
        options = super(TyperGroup, self).shell_complete(ctx, incomplete)
        names = [CompletionItem(name, help=e.help) for name, e in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *options]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does, with the table for its suggestions."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            ctx.fail(f"there is no command {args[0]!r}; {meant}known are {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A job queue for hard problems: a local model drafts, checks and corrects until an honest check accepts.",
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"redraft {installed('redraft')}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main() -> None:
    """The console script."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: no file that is opened later may take its place
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123  (for the rest of the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows less than UTF-8 is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code; whatever goes wrong becomes lines on stderr."""
    try:
        command = get_command(app)
        keep_defaults(command)
        code = command.main(args=arguments, prog_name="redraft", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _leave_quietly()
    except Exception as error:  # noqa: BLE001  (the last net: nobody is shown a traceback)
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    from workers.cli.interrupts import is_interrupt

    if is_interrupt(error):
        return INTERRUPTED
    match error:
        case RedraftError():
            return _refuse(error)
        case TyperException():
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else "redraft"
            return _fail(f"{path}: {error.format_message().rstrip('.')}; see `{path} --help`", 2)
        case OSError() if error.errno in OF_THE_SYSTEM:
            if error.filename is None:
                _leave_quietly()
            return _fail(f"{error.filename or 'standard output'}: {error.strerror}", 1)
        case UnicodeEncodeError():
            return _fail("the command line holds bytes that are not UTF-8; write the text in UTF-8", 2)
        case _:
            name = type(error).__name__
            return _fail(f"an error of Redraft itself, {name}; the traceback is in {_log(error)}", 1)


def _refuse(error: RedraftError) -> int:
    """A line for each fault of an input, one for another error; the exit code."""
    faults = error.faults if isinstance(error, InvalidInput) else (error,)
    for fault in faults[:FAULTS_SHOWN]:
        _fail(str(fault), error.exit_code)
    if len(faults) > FAULTS_SHOWN:
        _fail(f"and {len(faults) - FAULTS_SHOWN:,} more faults", error.exit_code)
    return error.exit_code


def _fail(message: str, code: int) -> int:
    """One line on stderr; the exit code."""
    print(printable(" ".join(message.split("\n"))), file=sys.stderr)
    return code


def _leave_quietly() -> int:
    """The reader of our output has gone, or its disk is full: nothing more may be written, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _log(error: BaseException) -> str:
    """Appends the traceback to `log/cli.log` in the home, or to the temporary folder where that can't be written."""
    import tempfile
    import time
    import traceback
    from pathlib import Path

    from tasks.locations import default_home

    text = time.strftime("%Y-%m-%dT%H:%M:%S%z\n") + "".join(traceback.format_exception(error)) + "\n"
    for folder in (default_home() / "log", Path(tempfile.gettempdir())):
        path = folder / "redraft-cli.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return str(path)
    return "no file, for none could be written"


if __name__ == "__main__":
    main()
