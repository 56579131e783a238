"""Names, labels and annotations as Kubernetes takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import AfterValidator

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_DATA_KEY: Final = re.compile(r"[-._A-Za-z0-9]{1,253}")
_LONGEST: Final = 253
"""Characters of an object's name and of a key's prefix."""


def _is_subdomain(value: str) -> bool:
    return len(value) <= _LONGEST and _SUBDOMAIN.fullmatch(value) is not None


def _object_name(value: str) -> str:
    if not _is_subdomain(value):
        message = f"{value!r} is not the name of a Kubernetes object: use lower-case letters, digits, dashes and dots"
        raise ValueError(message)
    return value


def _data_key(value: str) -> str:
    if not _DATA_KEY.fullmatch(value) or value in (".", ".."):
        message = f"{value!r} is not a key of a Secret or ConfigMap: use letters, digits, dashes, dots and _"
        raise ValueError(message)
    return value


def is_qualified_name(name: str) -> bool:
    """Return whether a name is a key of a label, with or without a prefix such as `example.com/`."""
    prefix, slash, rest = name.rpartition("/")
    return _QUALIFIED.fullmatch(rest) is not None and (_is_subdomain(prefix) if slash else True)


def _check_keys(names: Iterable[str]) -> None:
    for name in names:
        if not is_qualified_name(name):
            message = (
                f"contains {name!r}, which Kubernetes refuses as a key: write one such as team or example.com/team"
            )
            raise ValueError(message)


def _annotations(values: Mapping[str, str]) -> Mapping[str, str]:
    _check_keys(values)
    return values


def _labels(values: Mapping[str, str]) -> Mapping[str, str]:
    _check_keys(values)
    for name, value in values.items():
        if value and not _QUALIFIED.fullmatch(value):
            message = (
                f"contains {name}: {value!r}, and the value of a label has up to 63 letters, digits, dashes, dots and"
                " _: shorten it, or use an annotation"
            )
            raise ValueError(message)
    return values


ObjectName = Annotated[str, AfterValidator(_object_name)]
"""Name of a Kubernetes object in the namespace of runs."""
DataKey = Annotated[str, AfterValidator(_data_key)]
"""Key of a Secret or a ConfigMap."""
AnnotationValues = Annotated[Mapping[str, str], AfterValidator(_annotations)]
LabelValues = Annotated[Mapping[str, str], AfterValidator(_labels)]
"""Labels of an object, or those that a selector asks for."""
