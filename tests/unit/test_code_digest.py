"""What changes the digest of a rule's code, and what does not."""

import ast
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ldae.conclusions.registry import TABLES
from ldae.figures.registry import FIGURES
from ldae.methods import METHODS, NETWORKS, Methods
from ldae.provenance.code import CodeError, code_digest, raw_digest, references_in
from ldae.provenance.code.library import Library
from ldae.provenance.code.plumbing import NUMBERLESS_CALLS, OPAQUE, STANDS_FOR
from ldae.provenance.code.reach import Reach

ROOT = Path(__file__).resolve().parents[2]

# --- a package of a few lines -------------------------------------------------------------------

Files = dict[str, str]
SCRIPT = "scripts/s.py"
USES_F = {SCRIPT: "from ldae.a import f\nf(1)\n"}


@pytest.fixture
def digest(tmp_path: Path) -> Callable[..., str]:
    """Digest of ``scripts/s.py`` in a repository of the given files."""
    made: list[Path] = []

    def of(files: Files, *references: str) -> str:
        root = tmp_path / str(len(made))
        made.append(root)
        for name, text in ({"ldae/__init__.py": ""} | USES_F | files).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return code_digest(root / SCRIPT, *references, root=root)

    return of


PLAIN = "def f(x):\n    return x + 1\n"
LOGGED = "import logging\nlog = logging.getLogger(__name__)\ndef f(x):\n    {}\n    return x + 1\n"
RAISED = "from ldae.errors import InputError\ndef f(x):\n    if x:\n        {}\n    return x\n"
ERRORS = {"ldae/errors.py": "class InputError(Exception):\n    ...\n"}
EXPORT = "from ldae.methods.kinds import Look\n"
LOOK = "from dataclasses import dataclass\n@dataclass\nclass Look:\n    label: str\n"

SAME: dict[str, tuple[Files, Files]] = {
    "docstring": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": '"""Of the module."""\ndef f(x):\n    """Of f."""\n    return x + 1\n'},
    ),
    "docstring of an attribute": (
        {"ldae/a.py": "N = 1\ndef f(x):\n    return N\n"},
        {"ldae/a.py": 'N = 1\n"""How many."""\ndef f(x):\n    return N\n'},
    ),
    "comment and layout": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": "# why\n\ndef f(\n    x,\n):\n    # how\n    return (x\n            + 1)\n"},
    ),
    "annotations": (
        {"ldae/a.py": "def f(x):\n    y = x + 1\n    return y\n"},
        {"ldae/a.py": "from typing import Any\n\ndef f(x: int) -> Any:\n    y: int = x + 1\n"
                      "    return y\n"},
    ),
    "annotation of a dataclass's field": (
        {"ldae/a.py": "from dataclasses import dataclass\n@dataclass\nclass f:\n    x: int\n"},
        {"ldae/a.py": "from dataclasses import dataclass\n@dataclass\nclass f:\n    x: float\n"},
    ),
    "cast": (
        {"ldae/a.py": "def f(x):\n    return x\n"},
        {"ldae/a.py": "from typing import cast\ndef f(x):\n    return cast(int, x)\n"},
    ),
    "import for the type checker": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ldae.b\n"
                      + PLAIN, "ldae/b.py": "print(1)\n"},
    ),
    "overloads": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": "from typing import overload\n@overload\ndef f(x: int): ...\n" + PLAIN},
    ),
    "override": (
        {"ldae/a.py": "class f:\n    def g(self):\n        return 1\n"},
        {"ldae/a.py": "from typing import override\nclass f:\n    @override\n    def g(self):\n"
                      "        return 1\n"},
    ),
    "log message": (
        {"ldae/a.py": LOGGED.format("log.info('%d scans', x)")},
        {"ldae/a.py": LOGGED.format("log.warning('there are %d scans of %s', x, len(str(x)))")},
    ),
    "condition of a log message": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": LOGGED.format("if x > 3:\n        log.info('many')")},
    ),
    "warning": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": "import warnings\ndef f(x):\n    warnings.warn('no')\n    return x + 1\n"},
    ),
    "text of an error": (
        ERRORS | {"ldae/a.py": RAISED.format("raise InputError(x, 'bad')")},
        ERRORS | {"ldae/a.py": RAISED.format("raise InputError(f'{x}!', g(x)) from None")
                  + "def g(x):\n    return 'worse'\n"},
    ),
    "text of an error that is kept": (
        ERRORS | {"ldae/a.py": RAISED.format("return [InputError(x, 'bad')]")},
        ERRORS | {"ldae/a.py": RAISED.format("return [InputError(x, 'worse')]")},
    ),
    "text of an error of Python": (
        {"ldae/a.py": "def f(x):\n    raise ValueError('bad')\n"},
        {"ldae/a.py": "def f(x):\n    raise ValueError(f'{x} is bad')\n"},
    ),
    "text of an assertion": (
        {"ldae/a.py": "def f(x):\n    assert x\n"},
        {"ldae/a.py": "def f(x):\n    assert x, 'why'\n"},
    ),
    "what errors say": (
        ERRORS | {"ldae/a.py": RAISED.format("raise InputError(x)")},
        {"ldae/errors.py": "class InputError(Exception):\n    def __str__(self): return 'no'\n",
         "ldae/a.py": RAISED.format("raise InputError(x)")},
    ),
    "what is not reached": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": "import json\nOTHER = 2\n" + PLAIN + "def g(x):\n    return OTHER\n",
         "ldae/b.py": "print(1)\n"},
    ),
    "other module": (
        {"ldae/a.py": "N = 1\n" + PLAIN.replace("1", "N")},
        {SCRIPT: "from ldae.deep.b import f\nf(1)\n", "ldae/deep/__init__.py": "",
         "ldae/deep/b.py": "from ldae.c import N\n" + PLAIN.replace("1", "N"),
         "ldae/c.py": "N = 1\n"},
    ),
    "import of a module or of a name": (
        {"ldae/a.py": "import numpy as np\nfrom ldae import b\ndef f(x):\n"
                      "    return np.mean(b.N)\n", "ldae/b.py": "N = 1\n"},
        {"ldae/a.py": "from numpy import mean as m\ndef f(x):\n    from .b import N as n\n"
                      "    return m(n)\n", "ldae/b.py": "N = 1\n"},
    ),
    "import by way of a package": (
        {"ldae/a.py": PLAIN},
        {SCRIPT: "import ldae\nldae.f(1)\n", "ldae/__init__.py": "from ldae.a import f\n",
         "ldae/a.py": PLAIN},
    ),
    "name of a function": (
        {"ldae/a.py": PLAIN},
        {SCRIPT: "from ldae.a import g\ng(1)\n", "ldae/a.py": PLAIN.replace("f", "g", 2)
         .replace("deg", "def")},
    ),
    "module in a reference": (
        {"ldae/a.py": "f = {'x': 'ldae.b:g'}.get\n", "ldae/b.py": "def g(): return 1\n"},
        {"ldae/a.py": "f = {'x': 'ldae.c:g'}.get\n", "ldae/c.py": "def g(): return 1\n"},
    ),
    "recursion elsewhere": (
        {"ldae/a.py": "def f(x):\n    return g(x)\ndef g(x):\n    return f(x - 1)\n"},
        {"ldae/a.py": "from ldae.b import g\ndef f(x):\n    return g(x)\n",
         "ldae/b.py": "from ldae import a\ndef g(x):\n    return a.f(x - 1)\n"},
    ),
    "look": (
        {"ldae/methods/kinds.py": LOOK, "ldae/methods/__init__.py": EXPORT,
         "ldae/a.py": "from ldae.methods import Look\nf = {1: Look('red')}.get\n"},
        {"ldae/methods/__init__.py": EXPORT,
         "ldae/methods/kinds.py": LOOK + "    color: str = 'grey'\n",
         "ldae/a.py": "from ldae import methods\nf = {1: methods.Look('blue', 'x')}.get\n"},
    ),
    "place of a data file": (
        {"ldae/a.py": "from pathlib import Path\ndef f(x):\n    return Path('x/t.tsv')\n",
         "ldae/x/t.tsv": "1"},
        {"ldae/a.py": "from pathlib import Path\ndef f(x):\n    return Path('y/u.tsv')\n",
         "ldae/y/u.tsv": "1"},
    ),
    "what only another script runs": (
        {"ldae/a.py": PLAIN},
        {"ldae/a.py": PLAIN + "if __name__ == '__main__':\n    print(f(2))\n"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_no_number_depends_on(case: str, digest: Callable[..., str]) -> None:
    before, after = SAME[case]
    assert digest(before) == digest(after)


def using(text: str, other: str = "", **more: str) -> Files:
    """``ldae/a.py``, ``ldae/b.py`` and more modules."""
    named = {f"ldae/{name}.py": content for name, content in more.items()}
    return {"ldae/a.py": text, "ldae/b.py": other} | named


DATACLASS = "from dataclasses import dataclass\n@dataclass\nclass f:\n    {}\n    {}\n"
REGISTRY = "N = {}\ndef register(g):\n    N[g.__name__] = g\n    return g\n"
CALLED = "import ldae.b\nfrom ldae.c import N\ndef f(x):\n    return N['g'](x)\n"

DIFFERENT: dict[str, tuple[Files, Files]] = {
    "expression": (using(PLAIN), using(PLAIN.replace("+", "-"))),
    "type of a constant": (using(PLAIN), using(PLAIN.replace("1", "1.0"))),
    "truth for a number": (using(PLAIN), using(PLAIN.replace("1", "True"))),
    "default": (using("def f(x=1): return x\n"), using("def f(x=2): return x\n")),
    "default of a lambda": (using("f = lambda x=1: x\n"), using("f = lambda x=2: x\n")),
    "constant elsewhere": (
        using("from ldae.b import N\ndef f(x): return N\n", "N = 1\n"),
        using("from ldae.b import N\ndef f(x): return N\n", "N = 2\n"),
    ),
    "constant behind two imports": (
        using("from ldae import b as c\ndef f(x): return c.M\n", "from ldae.c import N as M\n",
              c="N = 1\n"),
        using("from ldae import b as c\ndef f(x): return c.M\n", "from ldae.c import N as M\n",
              c="N = 2\n"),
    ),
    "import in a function": (
        using("def f(x):\n    import ldae.b\n    return ldae.b.N\n", "N = 1\n"),
        using("def f(x):\n    import ldae.b\n    return ldae.b.N\n", "N = 2\n"),
    ),
    "function in a table": (
        using("from ldae import b\nf = {'g': b.g}.get\n", "def g(): return 1\n"),
        using("from ldae import b\nf = {'g': b.g}.get\n", "def g(): return 2\n"),
    ),
    "function in a partial": (
        using("import functools\nfrom ldae.b import g\nf = functools.partial(g, 1)\n",
              "def g(x): return 1\n"),
        using("import functools\nfrom ldae.b import g\nf = functools.partial(g, 1)\n",
              "def g(x): return 2\n"),
    ),
    "function in a reference": (
        using("f = {'x': 'ldae.b:g'}.get\n", "def g(): return 1\n"),
        using("f = {'x': 'ldae.b:g'}.get\n", "def g(): return 2\n"),
    ),
    "library function": (
        using("import numpy as np\ndef f(x): return np.mean(x)\n"),
        using("import scipy as np\ndef f(x): return np.mean(x)\n"),
    ),
    "method of a base class": (
        using("from ldae.b import B\nclass f(B): ...\n", "class B:\n    def g(self): return 1\n"),
        using("from ldae.b import B\nclass f(B): ...\n", "class B:\n    def g(self): return 2\n"),
    ),
    "base class": (
        using("from ldae.b import B, C\nclass f(B): ...\n", "class B: x = 1\nclass C: x = 2\n"),
        using("from ldae.b import B, C\nclass f(C): ...\n", "class B: x = 1\nclass C: x = 2\n"),
    ),
    "method of an object": (
        using("from ldae.b import B\nB_ = B()\ndef f(x): return B_.g()\n",
              "class B:\n    def g(self): return 1\n"),
        using("from ldae.b import B\nB_ = B()\ndef f(x): return B_.g()\n",
              "class B:\n    def g(self): return 2\n"),
    ),
    "decorator": (
        using("from functools import cache\ndef f(x): return x\n"),
        using("from functools import cache\n@cache\ndef f(x): return x\n"),
    ),
    "body of a decorator": (
        using("from ldae.b import d\n@d\ndef f(x): return x\n", "def d(g): return lambda x: 1\n"),
        using("from ldae.b import d\n@d\ndef f(x): return x\n", "def d(g): return lambda x: 2\n"),
    ),
    "member of an enum": (
        using("from enum import Enum\nclass f(Enum):\n    A = 1\n"),
        using("from enum import Enum\nclass f(Enum):\n    A = 2\n"),
    ),
    "default of a field": (
        using(DATACLASS.format("x: int = 1", "y: int = 1")),
        using(DATACLASS.format("x: int = 1", "y: int = 2")),
    ),
    "order of fields": (
        using(DATACLASS.format("x: int", "y: int")), using(DATACLASS.format("y: int", "x: int")),
    ),
    "class variable": (
        using(DATACLASS.format("x: int", "y: int = 1")),
        using(DATACLASS.format("x: int", "y: 'ClassVar[int]' = 1")),
    ),
    "field of a named tuple": (
        using("import typing\nclass f(typing.NamedTuple):\n    x: int\n"),
        using("import typing\nclass f(typing.NamedTuple):\n    x: int\n    y: int\n"),
    ),
    "type in a model": (
        using("from pydantic import BaseModel\nclass f(BaseModel):\n    x: int\n"),
        using("from pydantic import BaseModel\nclass f(BaseModel):\n    x: float\n"),
    ),
    "type in a model that inherits": (
        using("from ldae.b import B\nclass f(B):\n    x: 'int'\n",
              "from pydantic import BaseModel\nclass B(BaseModel): ...\n"),
        using("from ldae.b import B\nclass f(B):\n    x: 'float'\n",
              "from pydantic import BaseModel\nclass B(BaseModel): ...\n"),
    ),
    "type that a decorator reads": (
        using("from pydantic import validate_call\n@validate_call\ndef f(x: int): return x\n"),
        using("from pydantic import validate_call\n@validate_call\ndef f(x: float): return x\n"),
    ),
    "which of two of one name": (
        using("from ldae.b import N\ndef f(x): return N\n", "N = 1\n", c="N = 2\n"),
        using("from ldae.c import N\ndef f(x): return N\n", "N = 1\n", c="N = 2\n"),
    ),
    "two that change places": (
        using("from ldae.b import g\nfrom ldae.c import g as h\ndef f(x): return g(x) - h(x)\n",
              "def g(x): return x\n", c="def g(x): return 2 * x\n"),
        using("from ldae.b import g as h\nfrom ldae.c import g\ndef f(x): return g(x) - h(x)\n",
              "def g(x): return x\n", c="def g(x): return 2 * x\n"),
    ),
    "memory that is no longer shared": (
        using("A = {}\nB = {}\ndef f(x):\n    A[1] = x\n    return g()\ndef g(): return A[1]\n"),
        using("A = {}\nB = {}\ndef f(x):\n    A[1] = x\n    return g()\ndef g(): return B[1]\n"),
    ),
    "global that a function sets": (
        using("N = 1\ndef f(x):\n    global N\n    N = x\n"),
        using("N = 1\ndef f(x):\n    N = x\n"),
    ),
    "which local name": (
        using("from ldae.b import N as a, N as b\ndef f(a, b): return a\n", "N = 1\n"),
        using("from ldae.b import N as a, N as b\ndef f(a, b): return b\n", "N = 1\n"),
    ),
    "one of several names": (
        using("A, B = 1, 2\ndef f(x): return A\n"), using("A, B = 1, 2\ndef f(x): return B\n"),
    ),
    "addition to a constant": (
        using("N = 1\ndef f(x): return N\n"), using("N = 1\nN += 1\ndef f(x): return N\n"),
    ),
    "condition at import": (
        using("import sys\nif sys.byteorder == 'big': N = 1\nelse: N = 2\ndef f(x): return N\n"),
        using("import sys\nif sys.byteorder == 'big': N = 1\nelse: N = 3\ndef f(x): return N\n"),
    ),
    "import if another fails": (
        using("try:\n    from nowhere import g\nexcept ImportError:\n    from ldae.b import g\n"
              "def f(x): return g\n", "g = 1\n"),
        using("try:\n    from nowhere import g\nexcept ImportError:\n    from ldae.b import g\n"
              "def f(x): return g\n", "g = 2\n"),
    ),
    "name bound in an expression": (
        using("M = [N := 1]\ndef f(x): return N\n"), using("M = [N := 2]\ndef f(x): return N\n"),
    ),
    "package that is imported": (
        {"ldae/__init__.py": "", **using(PLAIN)},
        {"ldae/__init__.py": "import matplotlib\nmatplotlib.use('svg')\n", **using(PLAIN)},
    ),
    "setting of a library": (
        using("import ldae.b\n" + PLAIN, "import torch\ntorch.backends.x = 1\n"),
        using("import ldae.b\n" + PLAIN, "import torch\ntorch.backends.x = 2\n"),
    ),
    "setting of a library behind a function": (
        using("def f(x):\n    import ldae.b\n", "import torch\ntorch.manual_seed(1)\n"),
        using("def f(x):\n    import ldae.b\n", "import torch\ntorch.manual_seed(2)\n"),
    ),
    "value thrown away at import": (
        using("import ldae.b\n" + PLAIN, "import torch\n_ = torch.manual_seed(1)\n"),
        using("import ldae.b\n" + PLAIN, "import torch\n_ = torch.manual_seed(2)\n"),
    ),
    "method put into a class": (
        using("import ldae.b\nclass f: ...\n", "from ldae import a\na.f.g = lambda self: 1\n"),
        using("import ldae.b\nclass f: ...\n", "from ldae import a\na.f.g = lambda self: 2\n"),
    ),
    "entry of a registry": (
        using(CALLED, "from ldae.c import N\ndef g(x): return 1\nN['g'] = g\n", c=REGISTRY),
        using(CALLED, "from ldae.c import N\ndef g(x): return 2\nN['g'] = g\n", c=REGISTRY),
    ),
    "entry by a decorator": (
        using(CALLED, "from ldae.c import register\n@register\ndef g(x): return 1\n", c=REGISTRY),
        using(CALLED, "from ldae.c import register\n@register\ndef g(x): return 2\n", c=REGISTRY),
    ),
    "entry by inheritance": (
        using("import ldae.b\nfrom ldae.c import N\ndef f(x): return N\n",
              "from ldae.c import B\nclass C(B): x = 1\n",
              c="N = []\nclass B:\n    def __init_subclass__(cls): N.append(cls)\n"),
        using("import ldae.b\nfrom ldae.c import N\ndef f(x): return N\n",
              "from ldae.c import B\nclass C(B): x = 2\n",
              c="N = []\nclass B:\n    def __init_subclass__(cls): N.append(cls)\n"),
    ),
    "case of a dispatch": (
        using("import functools, ldae.b\n@functools.singledispatch\ndef f(x): return x\n",
              "from ldae.a import f\n@f.register\ndef _(x: int): return 1\n"),
        using("import functools, ldae.b\n@functools.singledispatch\ndef f(x): return x\n",
              "from ldae.a import f\n@f.register\ndef _(x: float): return 1\n"),
    ),
    "module used as a value": (
        using("from ldae import b\ndef f(x): return getattr(b, x)\n", "N = 1\n"),
        using("from ldae import b\ndef f(x): return getattr(b, x)\n", "N = 2\n"),
    ),
    "names looked up in the module": (
        using("def f(x): return globals()[x]\nN = 1\n"),
        using("def f(x): return globals()[x]\nN = 2\n"),
    ),
    "module that looks for itself": (
        using("import sys\ndef f(x): return getattr(sys.modules[__name__], x)\nN = 1\n"),
        using("import sys\ndef f(x): return getattr(sys.modules[__name__], x)\nN = 2\n"),
    ),
    "names looked up by vars": (
        using("def f(x): return vars()[x]\nN = 1\n"), using("def f(x): return vars()[x]\nN = 2\n"),
    ),
    "names that a module gives on demand": (
        using("from ldae import b\ndef f(x): return b.g\n", "def __getattr__(x): return 1\n"),
        using("from ldae import b\ndef f(x): return b.g\n", "def __getattr__(x): return 2\n"),
    ),
    "module imported by its name": (
        using("import importlib\ndef f(x): return importlib.import_module('ldae.b')\n", "N = 1\n"),
        using("import importlib\ndef f(x): return importlib.import_module('ldae.b')\n", "N = 2\n"),
    ),
    "docstring that is read": (
        using("def g():\n    '''A.'''\ndef f(x): return g.__doc__\n"),
        using("def g():\n    '''B.'''\ndef f(x): return g.__doc__\n"),
    ),
    "name that is read": (
        using("def g(): ...\ndef f(x): return g.__name__\n"),
        using("def h(): ...\ndef f(x): return h.__name__\n"),
    ),
    "annotation that is read": (
        using("import inspect\ndef g(x: int): ...\ndef f(x): return inspect.signature(g)\n"),
        using("import inspect\ndef g(x: str): ...\ndef f(x): return inspect.signature(g)\n"),
    ),
    "call in a log message": (
        using(LOGGED.format("log.info('%d', x.next())")),
        using(LOGGED.format("log.info('%d', x)")),
    ),
    "call in the condition of a log message": (
        using(LOGGED.format("if x.next():\n        log.info('more')")),
        using(LOGGED.format("if x:\n        log.info('more')")),
    ),
    "iterator that a log message uses up": (
        using(LOGGED.format("log.info('%d', sum(x))")), using(LOGGED.format("log.info('%s', x)")),
    ),
    "argument called as a logger is": (
        using("import logging\nlog = logging.getLogger()\ndef f(log): log.info(1)\n"),
        using("import logging\nlog = logging.getLogger()\ndef f(log): log.info(2)\n"),
    ),
    "number of an error": (
        using("def f(x): raise OSError(28, 'full')\n"),
        using("def f(x): raise OSError(27, 'full')\n"),
    ),
    "value that an exception carries": (
        using("class Found(Exception): ...\ndef f(x): raise Found(1)\n"),
        using("class Found(Exception): ...\ndef f(x): raise Found(2)\n"),
    ),
    "type of an error": (
        ERRORS | using(RAISED.format("raise InputError(x)")),
        ERRORS | using(RAISED.format("raise ValueError(x)")),
    ),
    "data file": (
        using("def f(x): return 't.tsv'\n") | {"ldae/t.tsv": "1"},
        using("def f(x): return 't.tsv'\n") | {"ldae/t.tsv": "2"},
    ),
    "data file in parts": (
        using("ROOT = 0\ndef f(x): return ROOT / 'tables' / 't.tsv'\n") | {"tables/t.tsv": "1"},
        using("ROOT = 0\ndef f(x): return ROOT / 'tables' / 't.tsv'\n") | {"tables/t.tsv": "2"},
    ),
    "statement of the script": (
        {SCRIPT: "from ldae.a import f\nf(1)\n", **using(PLAIN)},
        {SCRIPT: "from ldae.a import f\nf(2)\n", **using(PLAIN)},
    ),
    "value of the script": (
        {SCRIPT: "from ldae.a import f\nx, y = 1, 2\nf(x)\n", **using(PLAIN)},
        {SCRIPT: "from ldae.a import f\nx, y = 1, 2\nf(y)\n", **using(PLAIN)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_number_may_depend_on(case: str, digest: Callable[..., str]) -> None:
    before, after = DIFFERENT[case]
    assert digest(before) != digest(after)


@pytest.mark.parametrize(
    "text", ["from ldae.b import *\n", "class f: ...\nN = f.__subclasses__()\nf = N\n"]
)
def test_what_cannot_be_followed_is_refused(text: str, digest: Callable[..., str]) -> None:
    with pytest.raises(CodeError, match=r"a\.py:\d: "):
        digest(using(text))


# --- references ---------------------------------------------------------------------------------


def test_references_count_with_all_that_they_reach(digest: Callable[..., str]) -> None:
    files = using(PLAIN, "from ldae.c import N\ndef g(): return N\n", c="N = 1\n")
    other = files | {"ldae/c.py": "N = 2\n"}
    assert digest(files) == digest(other)
    assert digest(files, "ldae.b:g") not in (digest(files), digest(other, "ldae.b:g"))


def test_the_order_of_references_is_no_matter(digest: Callable[..., str]) -> None:
    files = using(PLAIN, "def g(): return 1\n", c="def h(): return 2\n")
    assert digest(files, "ldae.b:g", "ldae.c:h") == digest(files, "ldae.c:h", "ldae.b:g")
    moved = using(PLAIN, c="def h(): return 2\n", d="def g(): return 1\n")
    assert digest(files, "ldae.b:g", "ldae.c:h") == digest(moved, "ldae.c:h", "ldae.d:g")


def test_a_file_of_ones_own_counts(
    digest: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for n, k in ((1, 1), (2, 1), (2, 2)):
        Path("mine.py").write_text(f"from ldae.b import N\ndef train(): return N + {k}\n")
        found.append(digest(using(PLAIN, f"N = {n}\n"), "mine.py:train"))
    assert len(set(found)) == 3
    Path("mine.py").write_text("# train\nimport ldae.b as c\n\ndef train(): return c.N + 2\n")
    assert digest(using(PLAIN, "N = 2\n"), str(tmp_path / "mine.py:train")) == found[-1]


def test_a_package_of_ones_own_counts(
    digest: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "mylab_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')\n")
    (package / "nets.py").write_text("from .sizes import N\ndef train(): return N\n")
    found = []
    for n in (1, 2):
        (package / "sizes.py").write_text(f"N = {n}\n")
        code_digest.__globals__["_reach"].cache_clear()
        found.append(digest(using(PLAIN), "mylab_of_tests.nets:train"))
    assert found[0] != found[1]


@pytest.mark.parametrize("reference", ["ldae.a:g", "ldae.z:f", "nowhere_at_all:f", "no.py:f"])
def test_a_reference_that_leads_nowhere_is_reported(
    reference: str, digest: Callable[..., str]
) -> None:
    with pytest.raises(CodeError, match=r"there is no such (function|file)"):
        digest(using(PLAIN), reference)


def test_references_are_found_in_parameters() -> None:
    params = {"train": "ldae.a:f", "n": 3, "methods": [{"sampler": "mine.py:s", "name": "x"}]}
    assert references_in(params) == ["ldae.a:f", "mine.py:s"]


# --- this repository ----------------------------------------------------------------------------

SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
EVALUATIONS = {
    "evaluate_reconstruction": "reconstruction", "vary_stochastic": "stochastic",
    "manipulate_attribute": "manipulation", "interpolate_gaps": "interpolation",
    "measure_throughput": "throughput",
}  # fmt: skip


def jobs() -> dict[str, tuple[str, list[str]]]:
    """Script and references of each kind of job, by a name."""
    by_name = {network.name: network for network in NETWORKS}
    found: dict[str, tuple[str, list[str]]] = {name: (name, []) for name in SCRIPTS}
    for network in NETWORKS:
        found[f"train_{network.name}"] = "train_network", [network.train]
        if network.encoder:
            found[f"encode_{network.name}"] = "encode_semantics", [network.encoder]
    found["train_autoencoder"] = (
        "train_network", ["ldae.training.autoencoder:train_autoencoder"],
    )  # fmt: skip
    for script, evaluation in EVALUATIONS.items():
        models = Methods(METHODS).models(evaluation).values()
        loaders = [by_name[m.network].model for m in models]
        found[script] = script, [*loaders, *(m.sampler for m in models)]
    found |= {f"figure_{one.name}": ("plot_figure", list(one.references)) for one in FIGURES}
    found |= {f"table_{one.name}": ("tabulate", list(one.references)) for one in TABLES}
    found["build_report"] = "build_report", [figure.caption for figure in FIGURES]
    return found


JOBS = jobs()


class Repository:
    """A copy of the code, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ldae", "scripts", "resources", "schemas"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("README.md", "CITATION.cff"):
            shutil.copy(ROOT / name, folder / name)
        self.kept: dict[Path, str] = {}
        self.moved = ("^$", "")

    def digests(self) -> dict[str, str]:
        """Digest of every job's code as it is now."""
        reach = Reach(Library(self.folder))
        scripts = self.folder / "scripts"
        return {
            name: reach.digest(
                scripts / f"{script}.py", [re.sub(*self.moved, one) for one in references]
            )
            for name, (script, references) in JOBS.items()
        }

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text that is in a file once."""
        path = self.folder / name
        text = path.read_text()
        assert text.count(old) == 1, (name, old)
        self.kept.setdefault(path, text)
        path.write_text(text.replace(old, new))

    def move(self, old: str, new: str) -> None:
        """Move a module of the package, with all that imports or names it."""
        source = self.folder / f"{old.replace('.', '/')}.py"
        target = self.folder / f"{new.replace('.', '/')}.py"
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
        self.moved = (rf"\b{re.escape(old)}\b", new)
        (above, _, name), (new_above, _, new_name) = old.rpartition("."), new.rpartition(".")
        by_name = f"from {above} import {name}\n"
        for path in self.folder.rglob("*.py"):
            text = path.read_text()
            text = text.replace(by_name, f"from {new_above} import {new_name} as {name}\n")
            path.write_text(re.sub(*self.moved, text))

    def restore(self) -> None:
        """Take all changes back."""
        for path, text in self.kept.items():
            path.write_text(text)
        self.kept.clear()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, dict[str, str]]:
    """The copy with the digests of all scripts."""
    repository = Repository(tmp_path_factory.mktemp("repository"))
    return repository, repository.digests()


@pytest.fixture
def changed(original: tuple[Repository, dict[str, str]]) -> Callable[..., set[str]]:
    """Scripts whose digest differs after changes of the copy, which are then taken back."""
    repository, before = original

    def of(*changes: tuple[str, str, str]) -> set[str]:
        try:
            for change in changes:
                repository.change(*change)
            after = repository.digests()
        finally:
            repository.restore()
        return {name for name in before if before[name] != after[name]}

    return of


def test_what_is_named_as_plumbing_is_there() -> None:
    library = Library(ROOT)
    for name in {*OPAQUE, *STANDS_FOR, *STANDS_FOR.values()}:
        assert library.module(name) is not None, name
    for module, name in NUMBERLESS_CALLS:
        assert library.resolve(library.module(module), (name,)), name
    assert set(STANDS_FOR) <= set(OPAQUE)


class OtherWords(ast.NodeTransformer):
    """Other docstrings, annotations, log messages and texts of errors."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body.insert(0, ast.Expr(ast.Constant("Another docstring.")))
        node.returns = ast.Constant("Another")
        for one in node.args.args:
            one.annotation = None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) in {
            "InputError", "Interrupted", "ValueError", "RuntimeError", "KeyError",
        }:  # fmt: skip
            node.exc.args = [ast.Constant("other words")]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith("logger."):
            node.value.args[0] = ast.Constant("other words")
        return node


def test_other_words_everywhere_re_run_nothing(
    original: tuple[Repository, dict[str, str]], tmp_path: Path
) -> None:
    repository, before = Repository(tmp_path / "repository"), original[1]
    n_changed = 0
    for path in repository.folder.rglob("*.py"):
        text = path.read_text()
        other = f"# another comment\n{ast.unparse(OtherWords().visit(ast.parse(text)))}\n"
        n_changed += text != other
        path.write_text(other)
    assert n_changed > 150
    assert repository.digests() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ldae.diffusion.multistep", "ldae.diffusion.second_order"),
        ("ldae.networks.unet", "ldae.models.denoiser"),
        ("ldae.training.joint_start", "ldae.elsewhere.start"),
        ("ldae.statistics.tables", "ldae.tables"),
    ],
)
def test_a_moved_module_re_runs_nothing(
    original: tuple[Repository, dict[str, str]], old: str, new: str, tmp_path: Path
) -> None:
    repository, before = Repository(tmp_path / "repository"), original[1]
    repository.move(old, new)
    assert repository.digests() == before


TRAININGS = {
    "train_autoencoder", *(f"train_{network.name}" for network in NETWORKS if network.look),
}  # fmt: skip
SLICED = {"figure_cohort", "figure_edit_maps", "figure_interpolation_sequence",
          "figure_manipulation", "figure_reconstruction", "figure_stochastic"}  # fmt: skip
MULTISTEP = {"evaluate_reconstruction", "interpolate_gaps", "manipulate_attribute",
             "measure_throughput"}  # fmt: skip
CHANGES = {
    "constant": (
        ("ldae/diffusion/multistep.py", "CONCENTRATION = 1.75", "CONCENTRATION = 1.5"), MULTISTEP,
    ),
    "expression": (
        ("ldae/training/joint_start.py", ") / MONTHS_PER_YEAR", ") * MONTHS_PER_YEAR"),
        {"train_ldae_joint", "train_ldae_anatomical"},
    ),
    "default": (
        ("ldae/figures/slices.py", "bounding_box(mask: np.ndarray, margin: int = 1)",
         "bounding_box(mask: np.ndarray, margin: int = 2)"),
        SLICED | {"build_report"},
    ),
    "constant of one figure among others": (
        ("ldae/figures/training.py", "SMOOTHING_SHARE = 0.02", "SMOOTHING_SHARE = 0.03"),
        {"figure_training"},
    ),
    "base class": (
        ("ldae/training/diffusion.py", "class LdaeTraining(DiffusionTraining):",
         "class LdaeTraining(DiffusionTraining, dict):"),
        {"train_ldae"},
    ),
    "decorator": (
        ("ldae/evaluation/codes.py", "@torch.inference_mode()\ndef encode_semantics(",
         "def encode_semantics("),
        {"encode_semantics", *(name for name in JOBS if name.startswith("encode_"))}
        - {"encode_latents"},
    ),
    "method of all trainings": (
        ("ldae/training/batches.py", "np.uint64)[0] >> 1)", "np.uint64)[0] >> 2)"), TRAININGS,
    ),
    "colour of a method": (
        ("ldae/methods/registry.py", 'MODEL, Look("LDAE", "', 'MODEL, Look("The LDAE", "'),
        set(),
    ),
    "template": (("ldae/report/report.html.j2", "<body>", "<body >"), {"build_report"}),
    "style": (("ldae/report/report.css", "color-scheme: light dark", "color-scheme: light"),
              {"build_report"}),
    "methods text": (("ldae/report/methods.md.j2", "## Software", "## Programs"), {"build_report"}),
    "viewer": (("ldae/viewer/page.html", "<body>", "<body >"), {"build_report"}),
    "seeding": (("ldae/workflow/determinism.py", "torch.manual_seed(seed)", "torch.manual_seed(1)"),
                set(JOBS)),
    "record": (("ldae/provenance/record.py", "1024**2 if sys", "1000**2 if sys"), set()),
    "exit code": (
        ("ldae/workflow/entry.py", "SystemExit(1)\n    shutil", "SystemExit(2)\n    shutil"), set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_reaches_exactly_what_uses_it(case: str, changed: Callable[..., set[str]]) -> None:
    change, expected = CHANGES[case]
    assert changed(change) == expected


def test_every_comment_is_in_the_raw_digest(
    original: tuple[Repository, dict[str, str]],
) -> None:
    repository, _ = original
    script = repository.folder / "scripts/train_network.py"

    def digests() -> tuple[str, str]:
        code_digest.__globals__["_reach"].cache_clear()
        return (code_digest(script, root=repository.folder),
                raw_digest(script, root=repository.folder))  # fmt: skip

    code, raw = digests()
    repository.change("ldae/slurm.py", "QUERY_SECONDS = 60.0", "QUERY_SECONDS = 60.0  # or more")
    after = digests()
    repository.restore()
    assert after[0] == code and after[1] != raw


def test_every_script_has_a_digest_of_its_own() -> None:
    found = {code_digest(ROOT / f"scripts/{name}.py") for name in SCRIPTS}
    assert len(found) == len(SCRIPTS) and all(re.fullmatch("[0-9a-f]{16}", one) for one in found)
