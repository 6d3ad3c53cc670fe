"""How hypothesis draws examples: always the same ones, however slow the machine is."""

from hypothesis import settings

EXAMPLES = settings(deadline=None, derandomize=True, database=None)
