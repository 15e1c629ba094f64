"""Holds command lines to the real vLLM's argument parser; run by the engine's own python.

Reads `{name: [flags of vllm serve]}` on stdin; writes what each was understood as, or why it is refused.
"""

import contextlib
import io
import json
import sys
from typing import Any, get_args

from vllm.config.speculative import SpeculativeConfig, SpeculativeMethod
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser


def flatten(method: Any) -> set[str]:
    """The words of a literal made of literals."""
    return set().union(*(flatten(part) if get_args(part) else {part} for part in get_args(method)))


def understood(argv: list[str]) -> dict[str, Any]:
    """Raises where vLLM would refuse it before it loads anything."""
    told = make_arg_parser(FlexibleArgumentParser()).parse_args(argv)
    validate_parsed_serve_args(told)
    for name, known in (
        (told.reasoning_parser, ReasoningParserManager.list_registered()),
        (told.tool_call_parser, ToolParserManager.list_registered()),
    ):
        if name and name not in known:
            raise ValueError(f"there is no parser {name}")
    guessing = told.speculative_config or {}
    unknown = set(guessing) - set(SpeculativeConfig.__dataclass_fields__)
    if unknown or (guessing and guessing["method"] not in flatten(SpeculativeMethod)):
        raise ValueError(f"no speculation is {guessing}")
    return {
        "model": told.model_tag,
        "name": told.served_model_name,
        "host": told.host,
        "length": told.max_model_len,
        "sequences": told.max_num_seqs,
        "cards": told.tensor_parallel_size,
        "utilization": told.gpu_memory_utilization,
        "kv": told.kv_cache_dtype,
        "prefix_cache": told.enable_prefix_caching,
        "cached_tokens_are_told": told.enable_prompt_tokens_details,
        "limits": told.limit_mm_per_prompt,
        "speculation": guessing.get("method"),
        "parsers": [told.reasoning_parser, told.tool_call_parser],
        "revision": told.revision,
    }


def main() -> None:
    """One JSON document on stdout, whatever vLLM says meanwhile."""
    found: dict[str, Any] = {}
    for name, argv in json.load(sys.stdin).items():
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                found[name] = understood(argv)
        except (SystemExit, TypeError, ValueError) as error:
            found[name] = {"refused": f"{error} {said.getvalue()}"}
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
