"""Plug-ins that are broken in each way there is, and some that raise once they run: distributions in a folder, for
tests that put it on a path."""

from __future__ import annotations

from pathlib import Path

# Their name, and what is said of them.
BROKEN = {
    "missing_import": "ModuleNotFoundError",
    "bad_syntax": "SyntaxError",
    "raises_at_import": "ZeroDivisionError",
    "exits_at_import": "SystemExit",
    "no_class": "AttributeError",
    "no_protocol": "needed",
}
MODULES = {
    "missing_import": "import no_such_module_here",
    "bad_syntax": "def",
    "raises_at_import": "1 / 0",
    "exits_at_import": "import sys; sys.exit(3)",
    "no_class": "",
    "no_protocol": "class Plugin:\n    name = kind = 'no_protocol'",
    "raises": """

class Strategy:
    name = "raises"
    def decide(self, history, limits):
        raise RuntimeError("a bug of the plug-in")

class Plugin:
    kind = "raises"
    cost = 1
    def parse(self, value, folder):
        return value, {}
    def validate(self, candidate, check, sandbox, heartbeat):
        import os
        raise RuntimeError(f"a bug of the plug-in, at {os.environ.get('REDRAFT_DATABASE_URL', '')}")
""",
}


def install(folder: Path) -> None:
    """Each as a strategy and as a kind of check."""
    for name, source in MODULES.items():
        (folder / f"plugin_{name}.py").write_text(source)
    info = folder / "redraft_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: redraft-broken\nVersion: 1.0\n")
    checks = [f"{name} = plugin_{name}:Plugin" for name in MODULES]
    strategies = [f"{name} = plugin_{name}:{'Strategy' if name == 'raises' else 'Plugin'}" for name in MODULES]
    groups = ["[redraft.validators]", *checks, "[redraft.strategies]", *strategies]
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")
