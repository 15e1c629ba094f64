"""Where an answer that is one code block is complete."""

from __future__ import annotations

import pytest

from tasks.llm.codeblock import CodeBlockEnd

SOLUTION = "```python\ndef half(n):\n    return n / 2\n```"


def end_of(text: str, size: int) -> int | None:
    """Where the block ends, `text` being fed `size` characters at a time."""
    finder = CodeBlockEnd()
    for stop in range(size, len(text) + size, size):
        if (end := finder.feed(text[:stop])) is not None:
            return end
    return None


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{SOLUTION}\nThis function divides.\n```python\nhalf(4)\n```\n", SOLUTION),
        (f"Here it is:\n\n{SOLUTION}\n", f"Here it is:\n\n{SOLUTION}"),
        (f"```\nimport math\n```\nand\n{SOLUTION}\nmore", f"```\nimport math\n```\nand\n{SOLUTION}"),
        ("````\ndef f():\n    '''\n```\n    '''\n````\nmore", "````\ndef f():\n    '''\n```\n    '''\n````"),
        ("```\nclass A: pass\n``` \nmore", "```\nclass A: pass\n``` "),
    ],
)
def test_the_first_block_that_defines_something_ends_it(text: str, kept: str, size: int) -> None:
    assert end_of(text, size) == len(kept)


@pytest.mark.parametrize(
    "text",
    [
        SOLUTION,  # more backticks may follow
        "```python\ndef half(n):\n    return n / 2\n",
        "```python\nhalf(4)\n```\nand so on\n",
        "the word ``def`` and\n    ```\n    def f(): pass\n    ```\n",
        "```python\ndef half(n):\n```python\n    return n / 2\n",
    ],
)
def test_anything_else_goes_on(text: str) -> None:
    assert end_of(text, 1) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("```json\n[[0, 1]]\n```\nThis network", "```json\n[[0, 1]]\n```"),
        ("```\n^(a|b)$\n```\nmatches", "```\n^(a|b)$\n```"),
        ("```c\nint f(void);\n```\nor\n```c\nint g(void);\n```\n", "```c\nint f(void);\n```"),
        ("```bash\npip install x\n```\nthen\n```js\nf()\n```\n", "```bash\npip install x\n```\nthen\n```js\nf()\n```"),
        (f"```Python\nhalf(4)\n```\nfor\n{SOLUTION}\nmore", f"```Python\nhalf(4)\n```\nfor\n{SOLUTION}"),
        ("```\n\n```\n```\nx\n```\n", "```\n\n```\n```\nx\n```"),
    ],
)
def test_of_any_language_it_is_the_first_block_that_is_no_call_of_a_program(text: str, kept: str) -> None:
    finder = CodeBlockEnd(any_language=True)
    assert finder.feed(text) == len(kept)


def test_a_shorter_text_is_another_one() -> None:
    finder = CodeBlockEnd()
    assert finder.feed("I think of a sketch that is longer than the solution itself\n```\nx = 1\n") is None
    assert finder.feed(f"{SOLUTION}\n") == len(SOLUTION)
