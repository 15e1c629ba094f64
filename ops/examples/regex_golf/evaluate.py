"""Scores a regular expression by its length: it must match each name of one list and none of another. Its one argument
is the file with the answer, whose last line, or whose last fenced block, is the expression.

The expression is data. It is matched in a process of its own, since matching may take for ever.
"""

import sys

from redraft_evaluation import Refused, Solution, last_block, report

LONGEST = 1000
SECONDS = 5


def words(text):
    return text.split()


# Who was elected president of the United States, and who was only nominated: the lists of Norvig and Pochmann.
MATCH = words("""
    washington adams jefferson madison monroe jackson van-buren harrison polk taylor pierce buchanan lincoln grant
    hayes garfield cleveland mckinley roosevelt taft wilson harding coolidge hoover truman eisenhower kennedy
    johnson nixon carter reagan bush clinton obama
""")
REJECT = words("""
    pinckney king clay cass scott fremont breckinridge mcclellan seymour greeley tilden hancock blaine bryan parker
    hughes cox davis smith landon willkie dewey stevenson goldwater humphrey mcgovern ford mondale dukakis dole gore
    kerry mccain romney
""")
MATCHER = """
import re
def expression(pattern, words):
    search = re.compile(pattern).search
    return [word for word in words if search(word)]
"""


def read_expression(path):
    """The expression. Raises `Refused`."""
    lines = [line.strip() for line in last_block(path).splitlines() if line.strip()]
    if not lines:
        raise Refused("There is no expression in the answer.")
    if len(lines[-1]) > LONGEST:
        raise Refused(f"The expression has {len(lines[-1]):,} characters; at most {LONGEST:,} are allowed.")
    return lines[-1]


def evaluate():
    pattern = read_expression(sys.argv[1])
    with Solution(MATCHER, "expression", SECONDS) as solution:
        found = set(solution.call(pattern, MATCH + REJECT))
    missed, wrong = [word for word in MATCH if word not in found], [word for word in REJECT if word in found]
    if missed or wrong:
        slashes = " Slashes around it are part of it: leave them out." if pattern[0] == pattern[-1] == "/" else ""
        raise Refused(
            f"The expression {pattern[:100]} misses {len(missed)} of the {len(MATCH)} names that it must match"
            f" ({', '.join(missed[:8])}) and matches {len(wrong)} that it must not ({', '.join(wrong[:8])}).{slashes}"
        )
    return len(pattern), {}, f"It is valid and has {len(pattern)} characters."


report(evaluate)
