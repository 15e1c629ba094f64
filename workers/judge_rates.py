"""Where the rates of judges are kept: those that come with Redraft, and a deployment's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from tasks.errors import InvalidInput
from tasks.judge_rates import NEVER_MEASURED, JudgeRates, ModelRates
from tasks.settings import Settings
from workers.packaged import ops

SHIPPED = "measured/judges.json"


def load_rates(settings: Settings) -> JudgeRates:
    """What is known of each model: the deployment's own rates, and the shipped ones of models that it did not measure.
    Raises `InvalidInput`."""
    shipped = ops(SHIPPED)
    rates = read_rates(shipped) if shipped.exists() else NEVER_MEASURED
    return rates.under(read_rates(settings.judge_rates)) if settings.judge_rates else rates


def read_rates(path: Path) -> JudgeRates:
    """The rates that the file holds. Raises `InvalidInput`."""
    try:
        return JudgeRates.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput("judge_rates", str(path), f"a file that can be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput("judge_rates", str(path), f"a file of rates ({where}: {first['msg']})") from None


def write_rates(path: Path, model: str, rates: ModelRates) -> None:
    """Puts the rates of `model` into the file beside those of others. Raises `InvalidInput`."""
    known = read_rates(path) if path.exists() else NEVER_MEASURED
    new = path.with_name(f"{path.name}.new")
    text = known.under(JudgeRates(models={model: rates})).model_dump_json(indent=1, by_alias=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(f"{text}\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise InvalidInput("judge_rates", str(path), f"a file that can be written ({error.strerror})") from None
