"""Options of a stage: a dataclass has their names, types and defaults; unknown options are refused."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}


def read_options(kind: type[T], given: Mapping[str, Any], of: str, others: Iterable[type] = ()) -> T:
    """An instance of the dataclass `kind` with the values of `given`; `of` names the stage in messages.

    `others`: dataclasses of further options, which are checked too. Raises `ValueError` for
    a name that none of them has, with the nearest one that they have, and for a value of another type.
    """
    known = {name: wanted for each in (kind, *others) for name, wanted in typing.get_type_hints(each).items()}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{of} has no option {name}; {nearest(name, known)}")
        values[name] = converted(value, known[name], f"options.{name}")
    own = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in own})


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the known name most similar to `name`, or all of them."""
    known = sorted(known)
    found = difflib.get_close_matches(name, known, 1, 0.6)
    if found:
        return f"did you mean {found[0]}?"
    return f"it has {', '.join(known)}." if known else "it has none."


def converted(value: Any, wanted: Any, name: str) -> Any:
    """`value` converted to the annotation `wanted`; `ValueError` for another type.

    An int is accepted as float, and so is the string that YAML makes of 1e-4.
    """
    allowed = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if value is None and type(None) in allowed:
        return None
    for kind in (typing.get_origin(each) or each for each in allowed):
        if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
            try:
                return float(value)
            except ValueError:
                continue
        if kind is list and isinstance(value, tuple):
            return list(value)
        if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
            return value
    said = " or ".join(KINDS.get(typing.get_origin(each) or each, "null") for each in allowed)
    raise ValueError(f"{name} is {value!r}; it must be {said}.")
