"""What may be asked of a trained model: edits, positions between visits, devices."""

from __future__ import annotations

import math

import torch

from ldae.errors import InputError

AGE_RANGE = (0.0, 120.0)
"""Years that an edit may ask for."""


def check_edit(amount: float | None, to_age: float | None, from_age: float | None) -> None:
    """Refuse what no edit can mean.

    Parameters
    ----------
    amount, to_age, from_age
        As for :meth:`Model.edit`.

    Raises
    ------
    InputError
        If the amount is not finite, or an age is none of a person.
    """
    if amount is not None and not math.isfinite(amount):
        raise InputError("amount", f"{amount} is no amount", "Give a number such as 0.5")
    for name, age in {"to_age": to_age, "from_age": from_age}.items():
        if age is not None and not AGE_RANGE[0] <= age <= AGE_RANGE[1]:
            raise InputError(name, f"{age:g} is no age in years", "Give 0 to 120")


def position_of(at: float | None, months: tuple[float, float, float] | None) -> float:
    """Position between two visits, from 0 to 1.

    Raises
    ------
    InputError
        If it is not between them.
    """
    if (at is None) == (months is None):
        raise InputError("position", "where to interpolate is unclear", "Give at, or months")
    if months is not None:
        first, last, wanted = months
        if first == last:
            raise InputError("months", "both visits are at the same time", "Give two times")
        at = (wanted - first) / (last - first)
    if at is None or not 0 <= at <= 1:
        problem = f"{at:g} is not between the visits (0 to 1)" if at is not None else "missing"
        remedy = "Choose a time between both visits: the model was not tested beyond them"
        raise InputError("position", problem, remedy)
    return float(at)


def find_device(name: str | torch.device) -> torch.device:
    """Device to compute on.

    Raises
    ------
    InputError
        If it is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(str(name), "it is no device", "Choose cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        problem = f"torch {torch.__version__} finds no GPU"
        raise InputError(str(name), problem, "Choose cpu, or install a CUDA build of torch")
    return device
