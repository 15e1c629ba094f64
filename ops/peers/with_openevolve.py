"""OpenEvolve's side of the comparison, in the peers' environment: one run with its defaults but for the model, its
address and the time that it may take. The problem's text stands behind its own system message, as its users write
theirs. The run has no end of its own: whoever started it ends it when its tokens are spent.

    with_openevolve.py FOLDER ADDRESS MODEL SEED diff|rewrite

FOLDER holds `problem.txt` and one `start.*`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from openevolve import OpenEvolve
from openevolve.config import Config
from openevolve.prompt.templates import TemplateManager

# Of one answer: its own 60 s are too short for an engine without a GPU.
SECONDS = 3600


def main(folder: Path, address: str, model: str, seed: int, form: str) -> None:
    """Runs until it is ended."""
    os.environ["CONTEST"] = address
    message = TemplateManager().get_template("system_message") + "\n\n" + (folder / "problem.txt").read_text()
    config = Config.from_dict(
        {
            "random_seed": seed,
            "diff_based_evolution": form == "diff",
            "llm": {
                "primary_model": model,
                "api_base": f"{address}/v1",
                "api_key": "none",
                "timeout": SECONDS,
            },
            "prompt": {"system_message": message},
        }
    )
    [start] = folder.glob("start.*")
    evaluator = Path(__file__).with_name("openevolve_evaluator.py")
    asyncio.run(OpenEvolve(str(start), str(evaluator), config, output_dir=str(folder / "output")).run())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
