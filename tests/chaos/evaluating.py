"""A worker in one process, which a test kills: `python -m tests.chaos.evaluating URL`. It takes turns at jobs whose
checks run in the real sandbox, several at a time, and says once when it begins."""

from __future__ import annotations

import sys
import threading
import time

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.settings import load_settings
from tasks.store import dispatch
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.loops import ENGINE_AND_CHECKS, twin_loop

READY = "takes turns"
WORKER = "w"
TURNS = 4
# Nobody renews a lease here: it lasts until the test, which knows who is dead, takes it off.
RULES = dispatch.ClaimRules(lease_seconds=3600, affinity_seconds=0)


def take_turns(database: Database, sandbox: BubblewrapSandbox) -> None:
    """For ever."""
    model = ScriptedModel(lambda request: f"candidate {request.seed}", context_tokens=8192)
    loop = twin_loop(PostgresLedger(database, fault_cap=3), model, sandbox=sandbox)
    while True:
        claim = dispatch.claim(database, ENGINE_AND_CHECKS, WORKER, "turn", RULES)
        if claim is None:
            time.sleep(0.05)
        else:
            loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def main() -> None:
    """Runs until it is killed."""
    with Database(sys.argv[1]) as database:
        sandbox = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
        sandbox.runtime(SilentHeartbeat())
        threads = [threading.Thread(target=take_turns, args=(database, sandbox), daemon=True) for _ in range(TURNS)]
        for thread in threads:
            thread.start()
        print(READY, flush=True)
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
