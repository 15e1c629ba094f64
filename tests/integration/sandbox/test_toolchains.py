"""Each toolchain of the system makes and runs a program of two files in the sandbox."""

from __future__ import annotations

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import SandboxJob
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.toolchains import TOOLCHAINS

pytestmark = pytest.mark.integration

PROGRAMS = {
    "c": (
        {
            "main.c": '#include <stdio.h>\n#include "lib/two.h"\nint main(void) { printf("%d\\n", two() * 21); }\n',
            "lib/two.h": "static int two(void) { return 2; }\n",
        },
        "gcc -O1 -o /tmp/app main.c && /tmp/app",
    ),
    "cpp": (
        {
            "main.cpp": '#include <iostream>\nint two();\nint main() { std::cout << two() * 21 << "\\n"; }\n',
            "lib/two.cpp": "int two() { return 2; }\n",
        },
        "g++ -O1 -o /tmp/app main.cpp lib/*.cpp && /tmp/app",
    ),
    "rust": (
        {
            "main.rs": 'mod two;\nfn main() { println!("{}", two::two() * 21); }\n',
            "two.rs": "pub fn two() -> i32 { 2 }\n",
        },
        "rustc -o /tmp/app main.rs && /tmp/app",
    ),
    "javascript": (
        {
            "main.js": 'const { two } = require("./lib/two.js");\nconsole.log(two() * 21);\n',
            "lib/two.js": "exports.two = () => 2;\n",
        },
        "node main.js",
    ),
    "go": (
        {
            "go.mod": "module app\n\ngo 1.16\n",
            "main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println(two() * 21) }\n',
            "two.go": "package main\n\nfunc two() int { return 2 }\n",
        },
        "go build -o /tmp/app . && /tmp/app",
    ),
}


def test_there_is_a_program_for_every_toolchain() -> None:
    assert sorted(PROGRAMS) == sorted(TOOLCHAINS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_two_files_is_made_and_run(name: str) -> None:
    if TOOLCHAINS[name].path is None:
        pytest.skip(f"the system has no {TOOLCHAINS[name].program}: {TOOLCHAINS[name].advice}")
    files, command = PROGRAMS[name]
    box = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
    job = SandboxJob(argv=("sh", "-c", command), files=files, timeout_seconds=90, memory_mb=2048, runtime=name)
    result = box.run(job, SilentHeartbeat())
    assert (result.stdout.strip(), result.stderr, result.killed) == ("42", "", None)
