"""Ordinary programs and mark-up that repeat themselves: lookup tables, assertions, registers, diffs."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.corpus import words

LITERALS = ("False", "None", "null", "0", "0.0", "-1", "0x00", "NULL", "true", "nil", "'.'", '""', "NaN", "ERR", "'x'")


def code(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(2, 8)):
        name, thing, other = words.identifier(rng), rng.choice(words.NOUNS), rng.choice(words.NOUNS)
        parts.append(
            f"def {name}({thing}, {other}={rng.randint(0, 9)}):\n"
            f'    """{words.sentence(rng)}"""\n'
            f"    if {thing} is None:\n        return None\n"
            f"    return {words.identifier(rng)}({thing}) + {other}\n"
        )
    return "\n\n".join(parts)


def tests(rng: random.Random) -> str:
    """Assertions one below the other that differ in their numbers."""
    name = words.identifier(rng)
    form = rng.choice(
        ("    assert {f}({a}) == {b}", "        self.assertEqual({f}({a}), {b})", "    assert {f}([{a}, {b}]) == {a}")
    )
    asserts = [form.format(f=name, a=rng.randint(-9, 99), b=rng.randint(0, 999)) for _ in range(rng.randint(8, 40))]
    return f"def test_{name}():\n" + "\n".join(asserts) + "\n\n\n" + code(rng)


def branches(rng: random.Random) -> str:
    """A chain of elif, as beginners write it."""
    return "def name(n):\n" + "\n".join(
        f"    {'el' * (n > 0)}if n == {n}:\n        return '{rng.choice(words.NOUNS)}'"
        for n in range(rng.randint(10, 50))
    )


def headers(rng: random.Random) -> str:
    """A C header of defines and prototypes."""
    prefix = rng.choice(words.NOUNS).upper()
    lines = [f"#ifndef {prefix}_H", f"#define {prefix}_H", ""]
    for number in range(rng.randint(20, 90)):
        form = rng.choice(("#define {p}_{a}_{b} 0x{n:04x}", "int {p}_{a}({b} *self);", "#define {p}_{a}{n} {n}"))
        names = {"a": rng.choice(words.NOUNS).upper(), "b": rng.choice(words.NOUNS), "p": prefix, "n": number}
        lines.append(form.format(**names))
    return "\n".join([*lines, "#endif"])


def registers(rng: random.Random) -> str:
    """Declarations that differ in their number only."""
    form = rng.choice(
        ("    unsigned long r{n};", "  /* {n:>4} */ u64 guest_r{n};", "LOG_LOCAL{n}: int", "    r{n} = {n},")
    )
    return (
        "struct registers {\n"
        + "\n".join(form.format(n=n) for n in range(rng.randint(16, 40)))
        + "\n};\n"
        + (words.prose(rng, 300))
    )


def lookup_table(rng: random.Random) -> str:
    """A table of up to 256 entries in which one literal stands almost everywhere, wrapped or not."""
    literal, entries = rng.choice(LITERALS), rng.choice((32, 64, 128, 256))
    values = [literal] * entries
    for at in range(0, entries, rng.choice((17, 40, 300))):
        values[at] = rng.choice(("True", "1", "7", "'a'"))
    wrap = rng.choice((8, 16, 1000))
    rows = [", ".join(values[at : at + wrap]) for at in range(0, entries, wrap)]
    return f"{words.identifier(rng).upper()} = [\n    " + ",\n    ".join(rows) + ",\n]\n" + code(rng)


def grid(rng: random.Random) -> str:
    rows, columns = rng.randint(5, 20), rng.randint(5, 20)
    cell = rng.choice(("0", "None", "'.'", "False", '" "', "0.0"))
    body = ",\n".join("    [" + ", ".join([cell] * columns) + "]" for _ in range(rows))
    return f"board = [\n{body},\n]\n\n" + code(rng)


def byte_array(rng: random.Random) -> str:
    data = bytes(rng.choice((0, 0, 0, 255, rng.randint(0, 255))) for _ in range(rng.randint(64, 500)))
    rows = [", ".join(f"0x{b:02x}" for b in data[at : at + 12]) for at in range(0, len(data), 12)]
    return "static const unsigned char data[] = {\n  " + ",\n  ".join(rows) + "\n};\n"


def diff(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(2, 8)):
        at, lines = rng.randint(1, 400), list[str]()
        for _ in range(rng.randint(5, 20)):
            line = f"    {words.identifier(rng)} = {words.identifier(rng)}({rng.randint(0, 9)})"
            lines += rng.choice(([f" {line}"], [f"-{line}", f"+{line}  # {rng.choice(words.NOUNS)}"], [f"+{line}"]))
        parts.append(f"@@ -{at},{len(lines)} +{at},{len(lines)} @@\n" + "\n".join(lines))
    return "--- a/module.py\n+++ b/module.py\n" + "\n".join(parts)


def yaml(rng: random.Random) -> str:
    lines = ["services:"]
    for number in range(rng.randint(6, 40)):
        lines += [
            f"  - name: {rng.choice(words.NOUNS)}-{number}",
            f"    image: registry/{rng.choice(words.NOUNS)}:{rng.randint(1, 9)}",
            "    restart: always",
            "    ports:",
            f"      - {8000 + number}:{rng.choice((80, 443, 5432))}",
        ]
    return "\n".join(lines)


def latex(rng: random.Random) -> str:
    columns = rng.randint(3, 7)
    rows = []
    for _ in range(rng.randint(6, 25)):
        cells = [rng.choice((f"{rng.random():.2f}", rng.choice(words.NOUNS), "--", "")) for _ in range(columns)]
        rows.append(" & ".join(cells) + r" \\ \hline")
    sums = "\n".join(
        rf"\[ \sum_{{i={n}}}^{{n}} x_i^{{{n}}} = \frac{{n(n+{n})}}{{{n + 1}}} \]" for n in range(rng.randint(2, 9))
    )
    return (
        rf"\begin{{tabular}}{{{'c|' * columns}}}"
        + "\n"
        + "\n".join(rows)
        + "\n\\end{tabular}\n"
        + sums
        + "\n"
        + (words.prose(rng, 300))
    )


def html_table(rng: random.Random) -> str:
    columns = rng.randint(2, 5)
    cell = rng.choice(("<td></td>", "<td>&nbsp;</td>", "<td>{n}</td>", "<td>{w}</td>"))
    rows = [
        "<tr>" + "".join(cell.format(n=rng.randint(0, 99), w=rng.choice(words.NOUNS)) for _ in range(columns)) + "</tr>"
        for _ in range(rng.randint(5, 30))
    ]
    return (
        f"<table>\n<tr><th>{words.clause(rng)}</th></tr>\n" + "\n".join(rows) + "\n</table>\n" + words.prose(rng, 300)
    )


MAKERS: dict[str, Callable[[random.Random], str]] = {
    maker.__name__: maker
    for maker in (
        code,
        tests,
        branches,
        headers,
        registers,
        lookup_table,
        grid,
        byte_array,
        diff,
        yaml,
        latex,
        html_table,
    )
}
