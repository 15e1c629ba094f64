"""Flower's settings in a container (`python -m workers.flower --conf=…`): the password is in a file, never in argv.

The same columns as on the local stack. It listens on every address of its container; compose publishes loopback only.
"""

from tasks.settings import load_settings

_password = load_settings().flower_password.get_secret_value()
if not _password:
    raise SystemExit("flower shows everybody's jobs: set REDRAFT_FLOWER_PASSWORD_FILE")
address = "0.0.0.0"  # noqa: S104 - the container's own
port = 5555
basic_auth = [f"redraft:{_password}"]
tasks_columns = "name,state,kwargs,result,received,runtime,worker"
