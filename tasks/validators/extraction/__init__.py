"""The one place that finds the answer in a candidate's text: its code, its JSON, its answer line.

Pure, and bounded in work whatever the text is. Must not know any validator. `ops/docs/answers.md` shows what is found.
"""

from tasks.validators.extraction.answerline import AnswerLine, answer_of, find_answer, layers
from tasks.validators.extraction.blocks import last_fenced_block
from tasks.validators.extraction.jsontext import json_of, strict_json
from tasks.validators.extraction.number import number_of
from tasks.validators.extraction.source import Code, code_of, find_code

__all__ = [
    "AnswerLine",
    "Code",
    "answer_of",
    "code_of",
    "find_answer",
    "find_code",
    "json_of",
    "last_fenced_block",
    "layers",
    "number_of",
    "strict_json",
]
