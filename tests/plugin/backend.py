"""A build backend (PEP 517) in a few lines: a wheel is a zip of the module and its metadata."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path
from typing import Any

MODULE = "redraft_palindrome"


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    """Writes the wheel; returns its name."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    name, info = f"{MODULE}-{project['version']}-py3-none-any.whl", f"{MODULE}-{project['version']}.dist-info"
    points = [
        f"[{group}]\n" + "".join(f"{entry} = {target}\n" for entry, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    files = {
        f"{MODULE}.py": Path(f"{MODULE}.py").read_text(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(points),
    }
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD")))
    return name
