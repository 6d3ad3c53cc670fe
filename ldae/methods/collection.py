"""The methods of a study, and questions about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ldae.errors import InputError
from ldae.methods.kinds import Codes, Look, Method, Need, Role, Space
from ldae.methods.registry import RECOMMENDED


class Methods(Mapping[str, Method]):
    """The methods of a study by name, in the order of tables and figures.

    Parameters
    ----------
    methods
        In their order.

    Raises
    ------
    InputError
        If two have one name.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods: dict[str, Method] = {}
        for method in methods:
            if method.name in self._methods:
                raise InputError(f"method {method.name}", "the name is taken", "Choose another")
            self._methods[method.name] = method

    def __getitem__(self, name: str) -> Method:
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    def select(self, *roles: Role, evaluation: str | None = None) -> Methods:
        """Those with one of `roles` (any, if none is named) that take part in `evaluation`."""
        return Methods(
            method
            for method in self.values()
            if (not roles or method.role in roles)
            and (evaluation is None or evaluation in method.evaluations)
        )

    def coded(self, codes: Codes | None = None) -> Methods:
        """Those whose codes are probed; with `codes`, those with so many sets of them."""
        return Methods(
            method
            for method in self.values()
            if (method.codes is not None if codes is None else method.codes is codes)
        )

    def models(self, evaluation: str) -> Methods:
        """Those of an evaluation that diffuse, and so are loaded as a trained model."""
        return Methods(
            method
            for method in self.select(evaluation=evaluation).values()
            if method.sampler is not None and method.part_of is None
        )

    @property
    def main(self) -> Method:
        """The first model under test: the paper's, which figures of a single model show."""
        return next(iter(self.select(Role.MODEL).values()))

    @property
    def recommended(self) -> Method:
        """The model for use on scans: the recommended one, or the first model under test."""
        return self[RECOMMENDED] if RECOMMENDED in self else self.main

    def is_(self, name: str, *roles: Role) -> bool:
        """Whether a method is there and has one of `roles`."""
        return name in self and self[name].role in roles

    def look(self, name: str) -> Look:
        """How a method is drawn; what is not registered is drawn grey, under its own name."""
        return self[name].look if name in self else Look(name.replace("_", " "))

    def label(self, name: str) -> str:
        """Name of a method for readers."""
        return self.look(name).label

    def as_params(self, *, looks: bool = True) -> list[dict[str, Any]]:
        """The methods as plain data, for the parameters of a rule.

        Parameters
        ----------
        looks
            Whether to say how they are drawn. A rule that draws nothing does without, so that a
            changed colour does not run it again.
        """
        plain = [asdict(method) for method in self.values()]
        return plain if looks else [{k: v for k, v in m.items() if k != "look"} for m in plain]

    @classmethod
    def from_params(cls, params: Iterable[Mapping[str, Any]]) -> Methods:
        """The methods of :meth:`as_params`."""
        return cls(
            Method(
                **{
                    **given,
                    "role": Role(given["role"]),
                    "look": Look(**given.get("look", {"label": given["name"]})),
                    "evaluations": tuple(given["evaluations"]),
                    "space": given["space"] and Space(given["space"]),
                    "codes": given["codes"] and Codes(given["codes"]),
                    "needs": given["needs"] and Need(given["needs"]),
                }
            )
            for given in params
        )
