"""Messages for people that say why bubblewrap cannot start here and what to allow. Runs nothing."""

from __future__ import annotations

from pathlib import Path

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_MAXIMUM = Path("/proc/sys/user/max_user_namespaces")
_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))

# A kernel switch, the value that forbids namespaces, and what to do.
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


def explain(stderr: str, *, as_root: bool) -> str:
    """One message with advice, from what bwrap (or setpriv, if `as_root`) wrote before the program started."""
    message = (stderr.strip().splitlines() or ["it wrote nothing"])[-1]
    advice = _advice(message, as_root=as_root)
    return f"the sandbox cannot start here, so no model-written code is run ({message}): {advice}"


def _advice(message: str, *, as_root: bool) -> str:
    for path, forbidden_value, advice in _SWITCHES:
        if _value(path) == forbidden_value:
            return advice
    if any(mark.exists() for mark in _CONTAINER_MARKS):
        return (
            "in a container give it security_opt: [seccomp=unconfined, apparmor=unconfined, systempaths=unconfined], "
            "as docker-compose.yml does for the `check` service"
        )
    if as_root and "setpriv" in message:
        return "root needs the capabilities SETUID and SETGID to run the sandbox as an unprivileged uid"
    if "/proc" in message:
        return "a new /proc may not be mounted here: in a container allow systempaths=unconfined"
    return "check that unprivileged user namespaces are allowed: `unshare --user --map-root-user true`"


def _value(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
