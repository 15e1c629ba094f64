"""Why bubblewrap cannot start here, and what to allow: messages for people. Runs nothing."""

from __future__ import annotations

from pathlib import Path

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_MAXIMUM = Path("/proc/sys/user/max_user_namespaces")
_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))

# A kernel switch, the value that forbids, and what to do.
_SWITCHES = (
    (_MAXIMUM, "0", "allow user namespaces: sysctl user.max_user_namespaces=15000"),
    (_CLONE, "0", "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1"),
    (
        _APPARMOR,
        "1",
        "AppArmor keeps user namespaces from unconfined programs: sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0, or a profile with `userns,` for the sandbox's bwrap",
    ),
)


def explained(stderr: str, *, rooted: bool) -> str:
    """One message from what bwrap (or setpriv, when `rooted`) said before the program began, with advice."""
    said = (stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"the sandbox cannot start here, so nothing a model wrote is run ({said}): {_advice(said, rooted=rooted)}"


def _advice(said: str, *, rooted: bool) -> str:
    for path, forbidding, advice in _SWITCHES:
        if _value(path) == forbidding:
            return advice
    if any(mark.exists() for mark in _CONTAINER_MARKS):
        return (
            "in a container give it security_opt: [seccomp=unconfined, apparmor=unconfined, systempaths=unconfined], "
            "as docker-compose.yml does for the `check` service"
        )
    if rooted and "setpriv" in said:
        return "root needs the capabilities SETUID and SETGID to run the sandbox as an unprivileged uid"
    if "/proc" in said:
        return "a fresh /proc may not be mounted here: in a container allow systempaths=unconfined"
    return "check that unprivileged user namespaces are allowed: `unshare --user --map-root-user true`"


def _value(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
