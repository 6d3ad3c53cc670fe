"""Numbers and nouns that agree, for every text that a reader sees."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "scan"), counted(0, "scan"), counted(12000, "scan")
    ('1 scan', '0 scans', '12,000 scans')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def ranged(low: int, high: int, noun: str) -> str:
    """The least and the largest number with their noun.

    >>> ranged(1, 1, "scan"), ranged(1, 3, "scan")
    ('1 scan', '1 to 3 scans')
    """
    return counted(low, noun) if low == high else f"{low:,} to {counted(high, noun)}"


def listed(parts: list[str]) -> str:
    """Parts of an enumeration.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last
