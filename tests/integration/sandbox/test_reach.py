"""What a program in the sandbox can see, read, write and become."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.integration.sandbox.programs import run

pytestmark = pytest.mark.integration


def test_a_program_runs_with_its_files_input_and_report(sandbox):
    source = "import os, sys; os.write(7, open('data/a.txt').read().encode()); print(sys.stdin.read()); sys.exit(3)"
    result = run(sandbox, source, files={"data/a.txt": "report"}, stdin=b"input", report_fd=7)
    assert (result.exit_code, result.stdout, result.report, result.killed) == (3, "input\n", b"report", None)


def test_input_larger_than_a_pipe_arrives_whole(real_sandbox):
    result = run(real_sandbox, "import sys; print(len(sys.stdin.buffer.read()))", stdin=b"x" * 500_000)
    assert result.stdout == "500000\n"


def test_no_network_is_reachable_not_even_the_hosts_loopback(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = (
            "import socket\n"
            f"for address in (('127.0.0.1', {port}), ('1.1.1.1', 53)):\n"
            "    try:\n        socket.create_connection(address, 1); print('reached')\n"
            "    except OSError: print('refused')\n"
            "print([line.split(':')[0].strip() for line in open('/proc/net/dev')][2:])"
        )
        assert run(sandbox, source).stdout == "refused\nrefused\n['lo']\n"


def test_the_hosts_files_are_invisible(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    here = Path(__file__).resolve()
    source = (
        f"import os\nplaces = [{str(secret)!r}, {str(here)!r}, {str(Path.home())!r}, '/root', '/etc/shadow', '/var']\n"
        "places += ['/sys', '/run', '/usr/local/bin', '/mnt', '/srv']\n"
        "print([p for p in places if os.path.exists(p)])\n"
        "print(sorted(os.listdir('/home')), os.listdir('/tmp'))"
    )
    assert run(sandbox, source).stdout == "[]\n['job'] []\n"


def test_nothing_of_our_environment_is_readable_in_any_process(sandbox, monkeypatch):
    monkeypatch.setenv("REDRAFT_TEST_SECRET", "hunter2")
    source = (
        "import os, glob\nseen = b''\n"
        "for path in glob.glob('/proc/[0-9]*/environ'):\n    seen += open(path, 'rb').read()\n"
        "print(b'hunter2' in seen, sorted(set(os.environ) - {'PWD', 'LC_CTYPE'}))"
    )
    names = "['HOME', 'LANG', 'LD_LIBRARY_PATH', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONHASHSEED']"
    assert run(sandbox, source).stdout == f"False {names}\n"


def test_only_its_own_descriptors_and_processes_are_there(sandbox):
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        source = (
            "import os\nprint([n for n in range(3, 1000) if os.path.exists(f'/proc/self/fd/{n}')])\n"
            "print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()) == [1, os.getpid()])"
        )
        assert run(sandbox, source).stdout == "[]\nTrue\n"
    finally:
        os.close(leaked)


def test_nothing_outside_its_temporary_folders_can_be_written(sandbox):
    source = (
        "import os\n"
        "for place in ('/', '/usr', '/etc', '/dev', '/home', '/opt/redraft/pytest', '/proc/sys/kernel'):\n"
        "    try: open(place + '/x', 'w'); print('wrote', place)\n"
        "    except OSError: pass\n"
        "for place in ('/tmp', '/home/job', '/dev/shm'):\n    open(place + '/x', 'w').write('x')\n"
        "print('done')"
    )
    assert run(sandbox, source).stdout == "done\n"


def test_a_given_file_can_be_neither_changed_nor_removed_nor_moved(sandbox):
    source = (
        "import os\n"
        "open('v.py', 'w').close()\n"
        "for act in (lambda: open('t.py', 'a'), lambda: os.remove('t.py'), lambda: os.rename('t.py', 'u.py'),\n"
        "            lambda: os.replace('v.py', 't.py'), lambda: os.chmod('t.py', 0o777)):\n"
        "    try: act(); print('did it')\n"
        "    except OSError: pass\n"
        "print(open('t.py').read())"
    )
    assert run(sandbox, source, files={"t.py": "original"}).stdout == "original\n"


def test_privileges_and_further_namespaces_are_refused(sandbox):
    source = (
        "import os, ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.unshare(0x10000000), libc.unshare(0x20000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))\n"
        "status = open('/proc/self/status').read()\n"
        "names = ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs')\n"
        "print([line.split()[1] for line in status.splitlines() if line.startswith(names)])\n"
        "try: os.setuid(0); print('root')\nexcept OSError: print('no')\n"
        "try: os.memfd_create('hidden'); print('memfd')\nexcept OSError: print('no')"
    )
    zero = "0" * 16
    assert run(sandbox, source).stdout == f"-1 -1 -1\n['{zero}', '{zero}', '{zero}', '1']\nno\nno\n"
