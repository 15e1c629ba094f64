"""The only package that extracts the answer from a candidate's text: its code, its JSON, its answer line.

Pure, and its work is bounded for any text. Must not know any validator. `ops/docs/answers.md` shows what is extracted.
"""

from tasks.markdown import last_fenced_block
from tasks.validators.extraction.answerline import AnswerLine, answer_of, find_answer, layers
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
