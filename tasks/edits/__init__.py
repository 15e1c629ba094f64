"""The only package that reads a set of files, or edits to them, out of a model's text, and applies them.

Pure and deterministic: the same text and the same files give the same result, at each check as at `result -o`. What is
ambiguous is refused, never guessed. Must not know jobs, checks or the disk. `ops/docs/job-file.md` shows the forms.
"""

from tasks.edits.answer import FILES, FILES_BYTES, apply_answer, left_out
from tasks.edits.applying import apply_edits
from tasks.edits.blocks import Edit, EditError, read_edits
from tasks.edits.program_repair import repairs_of
from tasks.edits.variants import variants_of
from tasks.edits.whole import Body, body_of, edited, has_edits

__all__ = [
    "FILES",
    "FILES_BYTES",
    "Body",
    "Edit",
    "EditError",
    "apply_answer",
    "apply_edits",
    "body_of",
    "edited",
    "has_edits",
    "left_out",
    "read_edits",
    "repairs_of",
    "variants_of",
]
