"""By task of ops/hints: what the right hint says as a program, and what the wrong one does."""

from __future__ import annotations

ROMAN = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
         (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))  # fmt: skip
PROGRAMS = {
    "capitals": (
        'def headline(text): return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))',
        "def headline(text): return text.title()",
    ),
    "initials": (
        'def initials(name): return "".join(word[0].upper() + "." for word in name.split())',
        'def initials(name): return name[0].upper() + "."',
    ),
    "clock": (
        'def clock(minutes): return f"{minutes // 60:02d}:{minutes % 60:02d}"',
        'from datetime import datetime\ndef clock(minutes): return f"{datetime.now():%H:%M}"',
    ),
    "runs": (
        "from itertools import groupby\n"
        'def runs(text): return "".join(letter + str(len(list(group))) for letter, group in groupby(text))',
        'def runs(text): return "".join(c + str(text.count(c)) for c in sorted(set(text)))',
    ),
    "caesar": (
        'def shift(text, n): return "".join(\n'
        '    chr((ord(s) - ord("a") + n) % 26 + ord("a")) if "a" <= s <= "z" else s for s in text)',
        'def shift(text, n): return "".join(chr(ord(sign) + n) for sign in text)',
    ),
    "roman": (
        f"ROMAN = {ROMAN}\n"
        "def roman(n):\n"
        '    said = ""\n'
        "    for value, letters in ROMAN:\n"
        "        while n >= value:\n"
        "            said, n = said + letters, n - value\n"
        "    return said",
        'def roman(n): return "I" * n',
    ),
    "second": (
        "def second(numbers):\n    values = sorted(set(numbers))\n    return None if len(values) < 2 else values[-2]",
        "def second(numbers): return sorted(numbers)[-2]",
    ),
    "middle": (
        "def middle(word):\n    n = len(word)\n    return word[n // 2] if n % 2 else word[n // 2 - 1 : n // 2 + 1]",
        "def middle(word): return word[1]",
    ),
    "rotate": (
        "def rotate(items, n):\n"
        "    if not items: return []\n"
        "    n = n % len(items)\n"
        "    return items[len(items) - n :] + items[: len(items) - n]",
        "def rotate(items, n): return items[::-1]",
    ),
    "digits": (
        "def root(n):\n    while n >= 10: n = sum(int(digit) for digit in str(n))\n    return n",
        "def root(n): return n % 10",
    ),
    "vowels": (
        'def squeeze(text): return text[:1] + "".join(c for c in text[1:] if c not in "aeiouAEIOU")',
        'def squeeze(text): return text.replace("a", " ").replace("e", " ")',
    ),
    "collatz": (
        "def steps(n):\n"
        "    count = 0\n"
        "    while n != 1: n, count = n // 2 if n % 2 == 0 else 3 * n + 1, count + 1\n"
        "    return count",
        "def steps(n): return n // 2",
    ),
    "pairs": (
        "def pairs(numbers, total):\n"
        "    count = 0\n"
        "    for i in range(len(numbers)):\n"
        "        for j in range(i + 1, len(numbers)): count += numbers[i] + numbers[j] == total\n"
        "    return count",
        "def pairs(numbers, total): return len([n for n in numbers if n < total])",
    ),
    "columns": (
        "def columns(rows): return [list(column) for column in zip(*rows)]",
        "def columns(rows): return rows[::-1]",
    ),
    "longest": (
        "def longest(text):\n"
        '    words = [word.strip(".,") for word in text.split()]\n'
        '    return max(words, key=len, default="")',
        "def longest(text): return text.split()[-1]",
    ),
    "leap": (
        "def leap_years(first, last):\n"
        "    return [y for y in range(first, last + 1) if y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)]",
        "def leap_years(first, last): return list(range(first, last, 2))",
    ),
    "spiral": (
        """
def spiral(rows):
    result = []
    rows = [list(column) for column in zip(*rows)]
    while rows:
        result += rows[0]
        rows = [list(column) for column in zip(*rows[1:])][::-1]
    return result
""",
        """
def spiral(rows):
    result = []
    while rows:
        result += rows[0]
        rows = [list(column) for column in zip(*rows[1:])][::-1]
    return result
""",
    ),
    "ternary": (
        """
def ternary(n):
    text = "" if n else "0"
    while n != 0:
        rest = n % 3
        text = "0+-"[rest] + text
        n = (n + (rest == 2)) // 3
    return text
""",
        """
def ternary(n):
    text = "" if n else "0"
    while n > 0:
        n, rest = divmod(n, 3)
        text = "0+-"[rest] + text
    return text
""",
    ),
    "fibonacci": (
        """
def parts(n):
    row = [1, 2]
    while row[-1] <= n:
        row.append(row[-1] + row[-2])
    result = []
    for number in reversed(row):
        if number <= n:
            result.append(number)
            n -= number
    return result
""",
        """
def parts(n):
    result, a, b = [], 1, 2
    while sum(result) + a <= n:
        result.append(a)
        a, b = b, a + b
    return result[::-1]
""",
    ),
    "seats": (
        """
def row(n):
    letters, name = "ABCDEFGHJKLMNPQRSTUVWXYZ", ""
    while n > 0:
        n -= 1
        name = letters[n % 24] + name
        n //= 24
    return name
""",
        """
def row(n): return chr(ord("A") + (n - 1) % 26) * (1 + (n - 1) // 26)
""",
    ),
    "coins": (
        """
def coins(values, total):
    best = {0: 0}
    for coin in values:
        for s, k in list(best.items()):
            best[s + coin] = min(best.get(s + coin, k + 1), k + 1)
    return best.get(total)
""",
        """
def coins(values, total):
    count = 0
    for coin in sorted(values, reverse=True):
        if coin <= total:
            total, count = total - coin, count + 1
    return count if total == 0 else None
""",
    ),
    "counting": (
        """
def order(n):
    ring, place, result = list(range(1, n + 1)), 0, []
    for step in range(1, n + 1):
        place = (place + step - 1) % len(ring)
        result.append(ring.pop(place))
    return result
""",
        """
def order(n):
    ring, place, result = list(range(1, n + 1)), 0, []
    while ring:
        place = (place + 1) % len(ring)
        result.append(ring.pop(place))
    return result
""",
    ),
    "higher": (
        """
def higher(n):
    d = list(str(n))
    rising = [i for i in range(len(d) - 1) if d[i] < d[i + 1]]
    if not rising:
        return None
    i = rising[-1]
    j = max(j for j in range(i + 1, len(d)) if d[j] > d[i])
    d[i], d[j] = d[j], d[i]
    d[i + 1 :] = d[i + 1 :][::-1]
    return int("".join(d))
""",
        """
def higher(n):
    d = list(str(n))
    d[-2:] = d[-2:][::-1]
    found = int("".join(d))
    return found if found > n else None
""",
    ),
    "pages": (
        """
def pages(numbers):
    groups = []
    for number in sorted(set(numbers)):
        if groups and groups[-1][-1] + 1 == number:
            groups[-1].append(number)
        else:
            groups.append([number])
    parts = []
    for group in groups:
        parts += [f"{group[0]}-{group[-1]}"] if len(group) > 2 else [str(number) for number in group]
    return ", ".join(parts)
""",
        """
def pages(numbers): return f"{numbers[0]}-{numbers[-1]}"
""",
    ),
    "working": (
        """
from datetime import date, timedelta
def working(first, last, holidays):
    day, end, count = date.fromisoformat(first), date.fromisoformat(last), 0
    while day <= end:
        count += day.weekday() not in (4, 5) and day.isoformat() not in holidays
        day += timedelta(days=1)
    return count
""",
        """
from datetime import date
def working(first, last, holidays):
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    return days // 7 * 5 - len(holidays)
""",
    ),
    "versions": (
        """
def ordered(versions):
    def key(version):
        numbers, _, rc = version.partition("-rc")
        parts = [int(x) for x in numbers.split(".")]
        while parts and parts[-1] == 0:
            parts.pop()
        return parts, int(rc) if rc else float("inf")
    return sorted(versions, key=key)
""",
        """
def ordered(versions): return sorted(versions)
""",
    ),
    "ranks": (
        """
def ranks(points): return [sum(other >= mine for other in points) for mine in points]
""",
        """
def ranks(points): return [1 + len({other for other in points if other > mine}) for mine in points]
""",
    ),
    "guests": (
        """
def loudest(volumes):
    def line(v):
        a = b = 0
        for x in v:
            a, b = b, max(b, a + x)
        return b
    return volumes[0] if len(volumes) == 1 else max(line(volumes[1:]), line(volumes[:-1]))
""",
        """
def loudest(volumes): return max(sum(volumes[::2]), sum(volumes[1::2]))
""",
    ),
    "mirror": (
        """
from functools import lru_cache
def added(word):
    @lru_cache(None)
    def few(i, j):
        if i >= j:
            return 0
        return few(i + 1, j - 1) if word[i] == word[j] else 1 + min(few(i + 1, j), few(i, j - 1))
    return few(0, len(word) - 1)
""",
        """
def added(word): return sum(a != b for a, b in zip(word, word[::-1])) // 2
""",
    ),
    "prefix": (
        """
def value(text):
    stack = []
    for part in reversed(text.split()):
        if part in ("+", "-", "*", "/"):
            a, b = stack.pop(), stack.pop()
            stack.append({"+": a + b, "-": a - b, "*": a * b}[part] if part != "/" else int(a / b))
        else:
            stack.append(int(part))
    return stack[-1]
""",
        """
def value(text):
    stack = []
    for part in text.split():
        if part in ("+", "-", "*", "/"):
            b, a = stack.pop(), stack.pop()
            stack.append({"+": a + b, "-": a - b, "*": a * b}[part] if part != "/" else int(a / b))
        else:
            stack.append(int(part))
    return stack[-1]
""",
    ),
    "cheque": (
        """
SMALL = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
         "seventeen eighteen nineteen").split()
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
def words(n):
    if n < 20:
        return SMALL[n]
    if n < 100:
        return TENS[n // 10] + ("-" + SMALL[n % 10] if n % 10 else "")
    return SMALL[n // 100] + " hundred" + (" and " + words(n % 100) if n % 100 else "")
""",
        """
def words(n): return "-".join("zero one two three four five six seven eight nine".split()[int(d)] for d in str(n))
""",
    ),
    "minus": (
        """
def base(n):
    text = "" if n else "0"
    while n != 0:
        digit = n % 2
        text = str(digit) + text
        n = (n - digit) // -2
    return text
""",
        """
def base(n): return ("-" if n < 0 else "") + bin(abs(n))[2:]
""",
    ),
}
