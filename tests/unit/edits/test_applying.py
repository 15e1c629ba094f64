"""Edits to one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.edits import Edit, EditError, apply_edits, read_edits
from tasks.edits.applying import apply_hunks
from tasks.edits.blocks import read_diff


def edit(old: str, new: str) -> Edit:
    return Edit(lines=(*(("-", line) for line in old.split("\n")), *(("+", line) for line in new.split("\n"))))


def block(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def hunks(text: str) -> tuple[Edit, ...]:
    return read_diff(text.split("\n"))[0].hunks


def test_a_search_block_replaces_the_lines_that_it_finds():
    text = "def area(w, h):\n    return w + h\n\nprint(area(2, 3))\n"
    edits = read_edits("I change one line.\n\n" + block("    return w + h\n", "    return w * h\n") + "Done.")
    assert apply_edits(text, edits) == text.replace("w + h", "w * h")


def test_each_edit_is_applied_to_what_the_one_before_left():
    edits = read_edits(block("one\n", "two\n") + block("two\n", "three\n"))
    assert apply_edits("zero\none\n", edits) == "zero\nthree\n"


def test_the_same_edit_written_twice_counts_once():
    edits = read_edits(2 * block("one\n", "two\n"))
    assert apply_edits("one\n", edits) == "two\n"


def test_an_empty_replacement_takes_lines_out():
    assert apply_edits("keep\ndrop\nkeep too\n", read_edits(block("drop\n", ""))) == "keep\nkeep too\n"


def test_lines_that_occur_twice_are_ambiguous():
    with pytest.raises(EditError, match=r"fits at 2 places \(lines 1, 3\): `total = 0`"):
        apply_edits("total = 0\nfor x in y:\ntotal = 0\n", [edit("total = 0", "total = 1")])


def test_lines_that_the_text_does_not_have_are_refused_with_their_first():
    with pytest.raises(EditError, match=r"fits nowhere: the file does not have `missing = 1` and the line after it"):
        apply_edits("present = 1\n", [edit("missing = 1\nmore = 2", "x = 3")])


def test_an_edit_that_changes_nothing_is_refused():
    with pytest.raises(EditError, match="changes nothing"):
        apply_edits("a\n", [edit("a", "a")])


@pytest.mark.parametrize("searched", ["", "\n", "   \n"])
def test_an_edit_without_lines_to_find_fills_only_an_empty_text(searched):
    edits = read_edits(block(searched, "new\n"))
    assert apply_edits("", edits) == "new\n"
    with pytest.raises(EditError, match="names no lines"):
        apply_edits("old\n", edits)


def test_white_space_at_the_ends_of_lines_does_not_matter():
    assert apply_edits("a = 1  \nb = 2\n", [edit("a = 1\nb = 2\t", "c = 3")]) == "c = 3\n"


def test_an_exact_place_goes_before_one_that_differs_in_white_space():
    assert apply_edits("a \na\n", [edit("a", "b")]) == "a \nb\n"


def test_an_edit_indented_as_a_whole_otherwise_is_moved():
    text = "class A:\n    def f(self):\n        return 1\n"
    assert apply_edits(text, [edit("def f(self):\n    return 1", "def f(self):\n    x = 2\n    return x")]) == (
        "class A:\n    def f(self):\n        x = 2\n        return x\n"
    )
    assert apply_edits("if x:\n  y()\n", [edit("    if x:\n      y()", "    if z:\n      y()")]) == "if z:\n  y()\n"


def test_lines_indented_unevenly_do_not_match():
    with pytest.raises(EditError, match="fits nowhere"):
        apply_edits("if a:\n    if b:\n        c()\n", [edit("if a:\n  if b:\n    c()", "c()")])


def test_windows_line_ends_are_kept_and_given_to_new_lines():
    assert apply_edits("a\r\nb\r\nc\r\n", [edit("b", "x\ny")]) == "a\r\nx\r\ny\r\nc\r\n"


def test_lines_that_are_not_changed_keep_their_own_ends():
    assert apply_edits("a\r\nb\nc\n", [edit("c", "d")]) == "a\r\nb\nd\n"


def test_a_text_without_an_end_stays_so():
    assert apply_edits("a\nb", [edit("b", "c\nd")]) == "a\nc\nd"
    assert apply_edits("a\nb", [edit("a", "c")]) == "c\nb"
    assert apply_edits("a\nb", [edit("b", "")]) == "a\n"


@pytest.mark.parametrize(
    ("written", "missing"),
    [
        ("<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", "======="),
        ("<<<<<<< SEARCH\na\n=======\nb\n", ">>>>>>> REPLACE"),
        ("<<<<<<< SEARCH\na\n<<<<<<< SEARCH\nb\n=======\nc\n>>>>>>> REPLACE\n", "======="),
    ],
)
def test_a_block_that_is_cut_off_is_refused(written, missing):
    with pytest.raises(EditError, match=f"no line `{missing}`"):
        read_edits(written)


def test_a_hunk_is_placed_by_its_lines_whatever_its_numbers_say():
    text = "".join(f"line {n}\n" for n in range(1, 30))
    (hunk,) = hunks("--- a/t\n+++ b/t\n@@ -900,1 +2,77 @@\n line 11\n-line 12\n+twelve\n line 13\n")
    assert apply_hunks(text, [hunk]) == text.replace("line 12\n", "twelve\n")


def test_hunks_may_stand_in_any_order_and_share_lines_that_they_keep():
    written = hunks("--- t\n+++ t\n@@ -1 +1 @@\n c\n-d\n+D\n e\n@@ @@\n a\n-b\n+B\n c\n")
    assert apply_hunks("a\nb\nc\nd\ne\n", written) == "a\nB\nc\nD\ne\n"


def test_a_hunk_that_fits_at_two_places_is_refused_even_where_its_number_names_one():
    written = hunks("--- t\n+++ t\n@@ -3,2 +3,2 @@\n begin\n-end\n+stop\n")
    with pytest.raises(EditError, match="fits at 2 places"):
        apply_hunks("begin\nend\nbegin\nend\n", written)


def test_hunks_that_change_the_same_line_are_refused():
    written = hunks("--- t\n+++ t\n@@ @@\n-a\n+b\n@@ @@\n-a\n+c\n")
    with pytest.raises(EditError, match="Two hunks"):
        apply_hunks("a\n", written)


def test_an_empty_line_of_a_hunk_may_lack_its_space():
    written = hunks("--- t\n+++ t\n@@ -1,4 +1,4 @@\n a\n\n-b\n+c\n\n\n")
    assert apply_hunks("a\n\nb\n", written) == "a\n\nc\n"


def test_a_removed_line_that_looks_like_a_file_name_is_one_of_the_hunk():
    written = hunks("--- t.sql\n+++ t.sql\n@@ -1,2 +1,2 @@\n--- old remark\n+++ new remark\n select 1;\n")
    assert apply_hunks("-- old remark\nselect 1;\n", written) == "++ new remark\nselect 1;\n"


def test_a_hunk_with_prose_in_it_is_refused():
    with pytest.raises(EditError, match=r"begins with none of space, - and \+: 'Here"):
        hunks("--- t\n+++ t\n@@ @@\n a\nHere I add a line\n+b\n")


LINES = st.lists(st.sampled_from(["a", "b", "", " c", "d "]), max_size=8)


@given(LINES, LINES, LINES)
def test_an_edit_that_applies_puts_its_lines_there_and_leaves_the_rest(before, old, after):
    marked = ["<begin>", *old, "<end>"]
    text = "".join(f"{line}\n" for line in [*before, *marked, *after])
    change = edit("\n".join(marked), "new")
    assert apply_edits(text, [change]) == "".join(f"{line}\n" for line in [*before, "new", *after])


def test_lines_that_recur_all_over_take_no_time():
    text = "x\n" * 200_000
    with pytest.raises(EditError, match="fits nowhere"):
        apply_edits(text, [edit("x\n" * 20_000 + "y", "z")])
    with pytest.raises(EditError, match="fits at 100 places"):
        apply_edits(text, [edit("x\n" * 20_000 + "x", "z")])
    with pytest.raises(EditError, match="fits nowhere"):
        apply_edits("  x\n" * 200_000, [edit("x\n" * 20_000 + " y", "z")])
