"""A model's answer, applied to a set of files."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.edits import EditError, apply_answer, left_out

FILES = {
    "src/app.py": "from src.maths import add\n\nprint(add(1, 2))\n",
    "src/maths.py": "def add(a, b):\n    return a\n",
}


def writable(name: str) -> bool:
    return fnmatch.fnmatch(name, "src/*")


def applied(text: str, files: dict[str, str] = FILES) -> dict[str, str]:
    return apply_answer(text, files, writable)


FIXED = {**FILES, "src/maths.py": "def add(a, b):\n    return a + b\n"}
BODY = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "opening",
    [
        "```python src/maths.py",
        "```src/maths.py",
        "```python:src/maths.py",
        '```python title="src/maths.py"',
        "```python {file=src/maths.py}",
        "src/maths.py\n```python",
        "`src/maths.py`:\n```python",
        "**`src/maths.py`**\n\n```python",
        "### File: src/maths.py\n```",
        "1. `./src/maths.py`\n```",
        "The sum was wrong, so I rewrite `src/maths.py`:\n\n```python",
        "```python\n# src/maths.py",
    ],
)
def test_a_fenced_block_that_names_a_file_is_that_file(opening):
    result = applied(f"Here it is.\n\n{opening}\n{BODY}```\nThat is all.")
    assert {name: text.replace("# src/maths.py\n", "") for name, text in result.items()} == FIXED


def test_blocks_without_a_name_are_explanations():
    text = f"```bash\npython -m src.app\n```\n`src/maths.py`\n```python\n{BODY}```\nIt prints\n```\n3\n```\n"
    assert applied(text) == FIXED


def test_a_sentence_about_a_file_does_not_name_the_commands_after_it():
    with pytest.raises(EditError, match="has no file"):
        applied("Run `src/app.py` so:\n```bash\npython src/app.py\n```")


def test_the_last_block_is_the_file_where_there_is_only_one():
    assert applied(f"Mine:\n```python\n{BODY}```", {"src/maths.py": "x"}) == {"src/maths.py": BODY}


def test_a_file_can_be_new_and_empty():
    result = applied("`src/__init__.py`\n```python\n```\n```python src/new.py\nX = 1\n```")
    assert result == {**FILES, "src/__init__.py": "", "src/new.py": "X = 1\n"}


def test_a_search_block_names_its_file_before_the_fence_or_before_its_first_line():
    block = "<<<<<<< SEARCH\n    return a\n=======\n    return a + b\n>>>>>>> REPLACE\n"
    assert applied(f"`src/maths.py`\n```python\n{block}```") == FIXED
    assert applied(f"```\nsrc/maths.py\n{block}```") == FIXED
    assert applied(f"src/maths.py\n{block}") == FIXED
    with pytest.raises(EditError, match="does not name its file"):
        applied(f"```python\n{block}```")


def test_a_search_block_without_a_name_is_of_the_file_named_before_it():
    block = "<<<<<<< SEARCH\n{}\n=======\n{}\n>>>>>>> REPLACE\n"
    text = (
        "src/app.py\n"
        + block.format("print(add(1, 2))", "print(add(3, 4))")
        + "\n"
        + block.format("from src.maths import add", "from src.maths import add as plus")
    )
    assert applied(text)["src/app.py"] == "from src.maths import add as plus\n\nprint(add(3, 4))\n"


DIFF = """diff --git a/src/maths.py b/src/maths.py
index 1234567..89abcde 100644
--- a/src/maths.py
+++ b/src/maths.py
@@ -7,9 +1,20 @@ def nothing
 def add(a, b):
-    return a
+    return a + b
diff --git a/src/extra.py b/src/extra.py
new file mode 100644
--- /dev/null
+++ b/src/extra.py
@@ -0,0 +1,9 @@
+X = 1
+Y = 2
"""


@pytest.mark.parametrize("text", [f"```diff\n{DIFF}```\n", f"The change:\n\n{DIFF}\nIt adds a file.\n"])
def test_a_unified_diff_changes_and_makes_files_by_its_lines(text):
    assert applied(text) == {**FIXED, "src/extra.py": "X = 1\nY = 2\n"}


def test_a_unified_diff_can_delete_a_file():
    text = "```diff\n--- a/src/app.py\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-print\n```"
    assert applied(text) == {"src/maths.py": FILES["src/maths.py"]}


def test_a_folder_named_a_is_no_prefix_of_a_diff():
    files = {"a/x.py": "1\n", "x.py": "1\n"}
    text = "```diff\n--- a/x.py\n+++ a/x.py\n@@ @@\n-1\n+2\n```"
    assert apply_answer(text, files, lambda name: True) == {"a/x.py": "2\n", "x.py": "1\n"}


def test_hunks_without_a_name_belong_to_the_file_of_their_fence():
    text = "`src/maths.py`\n```diff\n@@ -1,2 +1,2 @@\n-    return a\n+    return a + b\n```"
    assert applied(text) == FIXED


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "src/../../evil.py",
        "/etc/evil.py",
        "~/evil.py",
        "src/.hidden.py",
        ".ssh/authorized_keys.py",
        "src/..\\evil.py",
        "src/" + "x" * 300 + ".py",
        "src/a\x07b.py",
    ],
)
@pytest.mark.parametrize("form", ["```python {}\nX = 1\n```", "```diff\n--- {0}\n+++ {0}\n@@ @@\n+X = 1\n```"])
def test_a_name_that_leads_elsewhere_is_refused(name, form):
    with pytest.raises(EditError, match=r"leads out|hidden|no name of a file|has no file"):
        applied(form.format(name))


def test_a_file_that_is_not_writable_is_refused_with_those_that_are():
    with pytest.raises(EditError, match=r"'include/api\.h' may not be changed; what may be is src/app\.py, src/maths"):
        applied("```c include/api.h\nint x;\n```")


def test_what_may_not_be_written_is_left_out_beside_what_may_be():
    text = "`include/api.h`\n```c\nint x;\n```\n`src/maths.py`\n```python\nX = 1\n```\n"
    assert applied(text) == {**applied("`src/maths.py`\n```python\nX = 1\n```\n")}
    assert left_out(text, FILES, writable) == ("include/api.h",)


def test_a_file_written_twice_with_different_texts_is_refused():
    text = "```python src/maths.py\nX = {}\n```\n"
    assert applied(text.format(1) + text.format(1))["src/maths.py"] == "X = 1\n"
    with pytest.raises(EditError, match=r"'src/maths\.py' is written 2 times"):
        applied(text.format(1) + text.format(2))


def test_a_file_given_whole_and_as_edits_is_refused():
    text = f"```python src/maths.py\n{BODY}```\n```diff\n--- src/maths.py\n+++ src/maths.py\n@@ @@\n-x\n+y\n```"
    with pytest.raises(EditError, match="more than one way"):
        applied(text)


def test_an_edit_that_does_not_apply_names_its_file():
    text = "src/app.py\n<<<<<<< SEARCH\nnot there\n=======\nx\n>>>>>>> REPLACE\n"
    with pytest.raises(EditError, match=r"^src/app\.py: An edit fits nowhere: the file does not have `not there`"):
        applied(text)


def test_an_edit_of_a_file_that_is_not_there_is_refused():
    with pytest.raises(EditError, match=r"no file 'src/gone\.py'"):
        applied("src/gone.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n")


def test_a_file_in_a_file_is_refused():
    with pytest.raises(EditError, match=r"'src/maths\.py' is a file"):
        apply_answer("```python src/maths.py/x.py\nX = 1\n```", FILES, lambda name: True)


def test_a_whole_file_keeps_the_line_ends_that_it_had():
    assert applied("```python src/a.py\nX = 2\nY = 3\n```", {"src/a.py": "X = 1\r\nY = 2\r\n"}) == {
        "src/a.py": "X = 2\r\nY = 3\r\n"
    }


@pytest.mark.parametrize("text", ["", "I can't.", "Use `src/maths.py`.", "```python\nX = 1\n```"])
def test_an_answer_without_a_file_is_refused(text):
    with pytest.raises(EditError, match="has no file"):
        applied(text)


def test_an_answer_larger_than_the_limit_is_refused():
    with pytest.raises(EditError, match="bytes together"):
        applied(f"```python src/maths.py\n{'x' * 4_000_000}\n```")


PIECES = st.sampled_from(
    [
        "```python src/maths.py",
        "```",
        "~~~",
        "```diff",
        "`src/app.py`:",
        "../up.py",
        "<<<<<<< SEARCH",
        "=======",
        ">>>>>>> REPLACE",
        "--- a/src/maths.py",
        "+++ b/src/maths.py",
        "+++ /dev/null",
        "@@ -1 +1 @@",
        "-    return a",
        "+    return a + b",
        "    return a",
        " def add(a, b):",
        "",
        "Prose, then.",
        "\\ No newline at end of file",
    ]
)


@given(st.lists(PIECES, max_size=14), st.text(max_size=20))
def test_any_answer_gives_writable_files_or_a_reason(pieces, tail):
    try:
        result = applied("\n".join([*pieces, tail]))
    except EditError:
        return
    assert all(writable(name) and ".." not in name for name in result)


HOSTILE = ["--- " + " " * 200_000 + "x", "# " * 100_000, "*" * 200_000, "name " * 50_000, "`" * 200_000, "<" * 200_000]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_line_takes_no_time(line):
    with pytest.raises(EditError):
        applied(f"{line}\n```python\n{line}\n```\n{line}\n+++ x\n")
