"""Ordinary texts that enumerate, and mean it: proofs by cases, simulations, moves, graphs, clauses, manifests."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.corpus import words


def proof_by_cases(rng: random.Random) -> str:
    modulus, last = rng.choice((7, 11, 13, 16, 19, 23, 29)), rng.randint(2, 5)
    form = rng.choice(
        (
            "Case {n}. Where n leaves {n} modulo {m}, its power leaves {p}, and {p} is no solution.",
            "Case {n}: for x = {n} we get x^{k} = {p} modulo {m}, so it fails.",
            "If the remainder is {n}, then the remainder of the power is {p} and we are done.",
        )
    )
    lines = [form.format(n=n, m=modulus, k=last, p=n**last % modulus) for n in range(modulus)]
    return words.prose(rng, 200) + "\n\n" + "\n".join(lines) + "\n\nNo case is left."


def simulation(rng: random.Random) -> str:
    """A queue, step by step."""
    held, total, lines, joint = 3, 0, list[str](), rng.choice(("\n", " "))
    form = rng.choice(
        (
            "After step {n} the queue holds {h} items and the sum is {t}.",
            "Minute {n}: {c} people come, {h} are waiting, {t} were served.",
            "At time {n} the buffer has {h} words, having written {t} in all.",
        )
    )
    for n in range(1, rng.randint(12, 31)):
        come = rng.randint(-2, 3)
        held, total = max(0, held + come), total + rng.randint(0, 4)
        lines.append(form.format(n=n, h=held, t=total, c=abs(come)))
    return joint.join(lines) + f"\nANSWER: {held}"


def moves(rng: random.Random) -> str:
    """The tower of Hanoi."""
    lines, joint = list[str](), rng.choice(("\n", ". ", "; "))
    form = rng.choice(
        ("Move disk {n} from peg {a} to peg {b}", "disk {n}: from {a} to {b}", "Take ring {n} off {a} onto {b}")
    )

    def move(n: int, a: str, b: str, c: str) -> None:
        if n:
            move(n - 1, a, c, b)
            lines.append(form.format(n=n, a=a, b=b))
            move(n - 1, c, b, a)

    move(rng.randint(4, 7), "A", "C", "B")
    return joint.join(lines)


def edges(rng: random.Random) -> str:
    nodes = rng.randint(14, 40)
    form = rng.choice(
        ("Vertex {a} is joined to {b} and to {c}.", "From station {a} trains go to {b} and to station {c}.")
    )
    return "\n".join(form.format(a=n, b=2 * n % nodes, c=3 * n % nodes) for n in range(1, nodes))


def truth_table(rng: random.Random) -> str:
    """In sentences."""
    names = rng.sample("pqrs", rng.choice((2, 3, 4)))
    rows = []
    for number in range(2 ** len(names)):
        values = [bool(number >> at & 1) for at in range(len(names))]
        given = " and ".join(f"{name} is {str(value).lower()}" for name, value in zip(names, values, strict=True))
        rows.append(f"If {given}, the formula is {str(sum(values) % 2 == 0).lower()}.")
    return "\n".join(rows)


def robot(rng: random.Random) -> str:
    """Orders to a robot."""
    orders = ("Go forward.", "Turn left.", "Turn right.", "Take the box.", "Put it down.")
    return rng.choice((" ", "\n")).join(rng.choice(orders) for _ in range(rng.randint(15, 60)))


def clauses(rng: random.Random) -> str:
    duty = words.clause(rng)
    form = rng.choice(
        (
            "{n}. The buyer shall, where {d}, hand over the papers of annex {n} within {k} days.",
            "{n}. Under article {k}, the tenant may refuse if {d}.",
        )
    )
    return "\n".join(form.format(n=n, d=duty, k=rng.randint(2, 60)) for n in range(1, rng.randint(6, 25)))


def chorus(rng: random.Random) -> str:
    """Single lines, each with the same two lines after it."""
    refrain = f"{words.clause(rng)},\n{words.clause(rng)}."
    return "\n\n".join(f"{words.clause(rng)},\n{refrain}" for _ in range(rng.randint(6, 16)))


def manifests(rng: random.Random) -> str:
    kind = rng.choice(("Deployment", "Service", "ConfigMap"))
    return "---\n".join(
        f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {rng.choice(words.NOUNS)}-{n}\nspec:\n"
        f"  replicas: {rng.randint(1, 9)}\n  template:\n    spec:\n      containers:\n        - name: main\n"
        f"          image: {rng.choice(words.NOUNS)}:{n}\n"
        for n in range(rng.randint(4, 30))
    )


def matrix(rng: random.Random) -> str:
    """Mostly zeros, up to 32 by 32."""
    size, fill = rng.randint(8, 32), rng.random() < 0.5
    rows = [[int(fill and row == column) for column in range(size)] for row in range(size)]
    return "[" + ",\n ".join("[" + ", ".join(map(str, row)) + "]" for row in rows) + "]"


def bars(rng: random.Random) -> str:
    """A bar chart in SVG."""
    rects = (
        f'<rect x="{12 * n}" y="0" width="10" height="{rng.randint(1, 99)}" fill="teal"/>'
        for n in range(rng.randint(20, 150))
    )
    return "<svg>\n" + "\n".join(rects) + "\n</svg>"


def test_log(rng: random.Random) -> str:
    name = words.identifier(rng)
    return "\n".join(
        f"tests/test_{name}.py::test_{words.identifier(rng)}[{n}] {rng.choice(('PASSED', 'PASSED', 'FAILED'))}"
        for n in range(rng.randint(15, 120))
    )


def inserts(rng: random.Random) -> str:
    table = rng.choice(words.NOUNS)
    return "\n".join(
        f"INSERT INTO {table}s (id, name, price) VALUES ({n}, '{rng.choice(words.NOUNS)}', {rng.randint(1, 999)});"
        for n in range(rng.randint(15, 150))
    )


def fasta(rng: random.Random) -> str:
    base = "".join(rng.choices("ACGT", k=60))
    return "\n".join(
        f">read{n}\n{base if rng.random() < 0.3 else ''.join(rng.choices('ACGT', k=60))}" for n in range(40)
    )


def changelog(rng: random.Random) -> str:
    verbs = ("Fix", "Add", "Remove", "Speed up", "Document")
    return "\n\n".join(
        f"## 1.{n}.0\n" + "\n".join(f"- {rng.choice(verbs)} {words.noun_phrase(rng)}" for _ in range(rng.randint(1, 5)))
        for n in range(rng.randint(8, 30), 0, -1)
    )


def divisions(rng: random.Random) -> str:
    """Trial division, number by number."""
    form = rng.choice(
        (
            "{n} is not divisible by 2, 3, 5 or 7, so {n} is prime.",
            "We test {n}: its least factor is {f}, its rest {r}.",
        )
    )
    numbers = [n for n in range(rng.randint(11, 60), 400) if form[1] == "W" or all(n % f for f in range(2, n))]
    lines = (form.format(n=n, f=next(f for f in range(2, n + 1) if n % f == 0), r=n % 7) for n in numbers)
    return rng.choice(("\n", " ")).join(list(lines)[: rng.randint(12, 30)])


def base64_zeros(rng: random.Random) -> str:
    return (
        "data:image/bmp;base64," + "Qk" + "A" * rng.randint(100, 2_800) + "".join(rng.choices("ABCDwxyz0189+/", k=200))
    )


def instructions(rng: random.Random) -> str:
    """Unrolled machine code."""
    return "\n".join(
        f"  load  r{n}, [rsi+{8 * n}]\n  add   r{n}, r{n}, [rdi+{8 * n}]\n  store [rdx+{8 * n}], r{n}"
        for n in range(rng.randint(8, 80))
    )


MAKERS: dict[str, Callable[[random.Random], str]] = {
    maker.__name__: maker
    for maker in (
        base64_zeros, bars, changelog, chorus, clauses, divisions, edges, fasta, inserts, instructions, manifests,
        matrix, moves, proof_by_cases, robot, simulation, test_log, truth_table,
    )
}  # fmt: skip
