"""Where groups can be created, by the files of a cgroup's folder; and that a real group is entered and removed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tasks.validators import cgroup
from tasks.validators.cgroup import NotDelegated, delegated

BOTH = "cpu memory pids"


@pytest.fixture
def mount(tmp_path):
    """Makes the files of a group in a folder that stands for the mount."""

    def make(path, controllers=BOTH, shared=""):
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.controllers").write_text(controllers)
        (folder / "cgroup.subtree_control").write_text(shared)
        (folder / "cgroup.procs").write_text("")
        return tmp_path

    return make


def test_the_group_above_the_workers_own_is_the_place(mount):
    mount("redraft.service")
    root = mount("redraft.service/worker")
    assert delegated(root, "/redraft.service/worker", systemd=False) == root / "redraft.service"
    assert (root / "redraft.service" / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_controllers_that_are_shared_out_already_are_left(mount):
    root = mount("", shared="memory pids cpu")
    assert delegated(root, "/", systemd=False) == root
    assert (root / "cgroup.subtree_control").read_text() == "memory pids cpu"


@pytest.mark.parametrize(("controllers", "missing"), [("", "memory and pids"), ("cpu memory", "pids")])
def test_without_the_controllers_there_is_no_place(mount, controllers, missing):
    with pytest.raises(NotDelegated, match=f"no controllers for {missing}"):
        delegated(mount("", controllers), "/", systemd=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user can write only what is its own")
def test_root_leaves_what_systemd_manages(mount):
    with pytest.raises(NotDelegated, match="systemd's"):
        delegated(mount("system.slice"), "/system.slice/ssh.service", systemd=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_group_of_somebody_else_is_no_place(mount):
    root = mount("")
    (root / "cgroup.procs").chmod(0o444)
    with pytest.raises(NotDelegated, match="not delegated"):
        delegated(root, "/", systemd=False)


def test_the_limits_stand_above_the_watchers_and_leave_no_swap():
    values = cgroup.limits(128 * 2**20, 64)
    assert values["memory.swap.max"] == "0"
    assert 128 * 2**20 < int(values["memory.max"]) < 192 * 2**20
    assert 64 < int(values["pids.max"]) <= 128


def test_the_kernel_says_that_it_ended_something_for_its_memory(tmp_path):
    assert not cgroup.out_of_memory(tmp_path)
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 0\noom_group_kill 0\n")
    assert not cgroup.out_of_memory(tmp_path)
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
    assert cgroup.out_of_memory(tmp_path)


def test_a_command_begins_in_its_group_and_what_it_leaves_ends_with_it():
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2" and os.access(fields[1], os.W_OK)]
    if not places:
        pytest.skip("no cgroup of version 2 can be created here")
    script = "sleep 100 >/dev/null 2>&1 & cat /proc/self/cgroup"
    with cgroup.group(places[0], {"cgroup.max.descendants": "0"}) as folder:
        process = subprocess.run(
            [*cgroup.joining(folder), "/bin/sh", "-c", script], capture_output=True, text=True, check=True
        )
        (left,) = (folder / "cgroup.procs").read_text().split()
    assert folder.name in process.stdout
    assert not folder.exists()
    assert not Path(f"/proc/{left}").exists() or "Z" in Path(f"/proc/{left}/stat").read_text()
