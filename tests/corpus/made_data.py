"""Ordinary data that repeats itself: tables, records, logs, dumps, numbers."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable

from tests.corpus import words


def markdown_table(rng: random.Random) -> str:
    columns = rng.randint(2, 7)
    heads = rng.sample(words.NOUNS, columns)
    rows = [f"| {' | '.join(heads)} |", "|" + rng.choice(("---|", ":---:|", "------------|")) * columns]
    for number in range(rng.randint(8, 60)):
        cells = [rng.choice((str(rng.randint(0, 999)), rng.choice(words.NOUNS), "", "yes", "-")) for _ in heads]
        rows.append(f"| {number + 1} | {' | '.join(cells[1:])} |")
    return words.prose(rng, 200) + "\n\n" + "\n".join(rows) + "\n"


def comparison_table(rng: random.Random) -> str:
    """Most cells say the same, as in a table of features."""
    columns, rows = rng.randint(3, 8), rng.randint(10, 40)
    lines = [
        "| " + " | ".join([words.clause(rng)[:30], *rng.choices(("yes", "yes", "yes", "no"), k=columns)]) + " |"
        for _ in range(rows)
    ]
    return "| feature |" + " x |" * columns + "\n|" + "---|" * (columns + 1) + "\n" + "\n".join(lines)


def json_records(rng: random.Random) -> str:
    keys = rng.sample(words.NOUNS, rng.randint(3, 6))
    records = [
        {
            key: rng.choice((rng.randint(0, 999), rng.choice(words.NOUNS), None, True, round(rng.random(), 3)))
            for key in keys
        }
        | {"id": number}
        for number in range(rng.randint(8, 60))
    ]
    return json.dumps(records, indent=rng.choice((None, 2, 4)))


def json_matrix(rng: random.Random) -> str:
    size = rng.randint(8, 24)
    rows = [
        [int(row == column) if rng.random() < 0.95 else rng.randint(0, 9) for column in range(size)]
        for row in range(size)
    ]
    return json.dumps({"size": size, "rows": rows}, indent=rng.choice((None, 1)))


def log(rng: random.Random) -> str:
    messages = [words.clause(rng) for _ in range(rng.randint(2, 12))]
    clock, lines = rng.randint(0, 80_000), list[str]()
    for _ in range(rng.randint(20, 120)):
        clock += rng.randint(0, 9)
        stamp = f"2031-03-{clock // 86_400 + 1:02} {clock // 3600 % 24:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        level = rng.choices(("INFO", "DEBUG", "WARNING"), (8, 3, 1))[0]
        lines.append(f"{stamp} {level} [worker-{rng.randint(1, 4)}] {rng.choice(messages)} in {rng.randint(1, 900)} ms")
    return "\n".join(lines)


def heartbeats(rng: random.Random) -> str:
    """A log in which one message comes again and again with another time."""
    message = rng.choice(("heartbeat ok", "GET /health HTTP/1.1 200 12", "lease renewed", "no work; sleeping"))
    clock, lines = rng.randint(0, 80_000), list[str]()
    for _ in range(rng.randint(20, 70)):
        clock += rng.choice((10, 10, 10, 11))
        stamp = f"{clock // 3600 % 24:02}:{clock // 60 % 60:02}:{clock % 60:02}.{rng.randint(0, 999):03}"
        lines.append(f"{stamp} {message} pid={rng.randint(100, 999)}")
        if rng.random() < 0.05:
            lines.append(f"{stamp} {words.clause(rng)}")
    return "\n".join(lines)


def training_log(rng: random.Random) -> str:
    loss, lines = rng.uniform(2, 5), list[str]()
    for epoch in range(1, rng.randint(20, 80)):
        loss *= rng.uniform(0.93, 1.01)
        lines.append(
            f"Epoch {epoch}/100 - loss: {loss:.4f} - accuracy: {1 / (1 + loss):.4f} - {rng.uniform(1, 9):.1f}s"
        )
    return "\n".join(lines)


def numbers(rng: random.Random) -> str:
    kind = rng.choice(("squares", "primes", "random", "multiples", "coordinates", "binary"))
    count = rng.randint(60, 500)
    match kind:
        case "squares":
            values = [str(n * n) for n in range(count)]
        case "primes":
            values = [str(n) for n in range(2, 3 * count) if all(n % d for d in range(2, int(n**0.5) + 1))]
        case "multiples":
            step = rng.randint(2, 25)
            values = [str(n * step) for n in range(count)]
        case "coordinates":
            values = [f"({rng.randint(0, 9)}, {rng.randint(0, 9)})" for _ in range(count)]
        case "binary":
            values = [format(n, "08b") for n in range(count)]
        case _:
            values = [str(rng.randint(0, 10 ** rng.randint(1, 6))) for _ in range(count)]
    return words.sentence(rng) + "\n" + rng.choice((", ", " ", "\n")).join(values)


def hex_dump(rng: random.Random) -> str:
    lines = []
    for row in range(rng.randint(20, 120)):
        data = bytes(16) if rng.random() < 0.4 else rng.randbytes(16)
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in data)
        lines.append(f"{row * 16:08x}  {data[:8].hex(' ')}  {data[8:].hex(' ')}  |{shown}|")
    return "\n".join(lines)


def base64(rng: random.Random) -> str:
    """A certificate's look, with a stretch of zeros in it."""
    alphabet = string.ascii_letters + string.digits + "+/"
    lines = ["".join(rng.choices(alphabet, k=64)) for _ in range(rng.randint(8, 40))]
    at = rng.randrange(len(lines))
    lines[at:at] = ["A" * 64] * rng.randint(0, 6)
    return "-----BEGIN DATA-----\n" + "\n".join(lines) + "\n-----END DATA-----\n"


def csv(rng: random.Random) -> str:
    heads = rng.sample(words.NOUNS, rng.randint(3, 8))
    constant = rng.choice(words.NOUNS)
    rows = [
        ",".join([str(n), constant, *(str(rng.randint(0, rng.choice((1, 9, 9999)))) for _ in heads[2:])])
        for n in range(rng.randint(20, 90))
    ]
    return ",".join(heads) + "\n" + "\n".join(rows)


MAKERS: dict[str, Callable[[random.Random], str]] = {
    maker.__name__: maker
    for maker in (
        markdown_table,
        comparison_table,
        json_records,
        json_matrix,
        log,
        heartbeats,
        training_log,
        numbers,
        hex_dump,
        base64,
        csv,
    )
}
