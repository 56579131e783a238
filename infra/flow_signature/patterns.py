"""Matches the patterns of a `match` statement."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from infra.flow_signature.machine import Frame, Machine
from infra.flow_signature.unknown import Undecidable, Unknown

_SELF_MATCHING = (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple)


class Patterns(Machine):
    """Matches a value and binds the names of the pattern."""

    def matches(self, pattern: ast.pattern, subject: Any, frame: Frame) -> bool | Unknown:
        """Return whether a pattern matches; Unknown if that depends on something unknown."""
        try:
            return self._matches(pattern, self.known(subject), frame)
        except Undecidable as outcome:
            for part in ast.walk(pattern):
                if isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
                    self.store(frame, part.name, outcome.unknown)
            return outcome.unknown

    def _matches(self, pattern: ast.pattern, subject: Any, frame: Frame) -> bool:  # noqa: PLR0911  one answer per kind
        match pattern:
            case ast.MatchAs():
                if pattern.pattern is not None and not self._matches(pattern.pattern, subject, frame):
                    return False
                if pattern.name:
                    self.store(frame, pattern.name, subject)
                return True
            case ast.MatchOr():
                return any(self._matches(part, subject, frame) for part in pattern.patterns)
        if isinstance(subject, Unknown):
            raise Undecidable(subject)
        match pattern:
            case ast.MatchValue():
                value = self.evaluate(pattern.value, frame)
                if isinstance(value, Unknown):
                    raise Undecidable(value)
                return bool(subject == value)
            case ast.MatchSingleton():
                return subject is pattern.value
            case ast.MatchSequence():
                return self._sequence(pattern.patterns, subject, frame)
            case ast.MatchMapping():
                return self._mapping(pattern, subject, frame)
            case ast.MatchClass():
                return self._class(pattern, subject, frame)
        raise Undecidable(Unknown.because("it is a pattern that is not read"))

    def _sequence(self, patterns: Sequence[ast.pattern], subject: Any, frame: Frame) -> bool:
        if not isinstance(subject, Sequence) or isinstance(subject, str | bytes | bytearray):
            return False
        items = list(self.iterate(subject))
        stars = [index for index, part in enumerate(patterns) if isinstance(part, ast.MatchStar)]
        extra = len(items) - len(patterns)
        if (not stars and extra) or extra < -len(stars):
            return False
        for star in stars:
            part, rest = patterns[star], items[star : star + extra + 1]
            if isinstance(part, ast.MatchStar) and part.name:
                self.store(frame, part.name, rest)
            items[star : star + extra + 1] = [rest]
        return all(
            isinstance(part, ast.MatchStar) or self._matches(part, self.known(item), frame)
            for part, item in zip(patterns, items, strict=True)
        )

    def _mapping(self, pattern: ast.MatchMapping, subject: Any, frame: Frame) -> bool:
        if not isinstance(subject, Mapping):
            return False
        keys = [self.evaluate(key, frame) for key in pattern.keys]
        for key, part in zip(keys, pattern.patterns, strict=True):
            if key not in subject or not self._matches(part, self.known(subject[key]), frame):
                return False
        if pattern.rest:
            self.store(frame, pattern.rest, {key: value for key, value in subject.items() if key not in keys})
        return True

    def _class(self, pattern: ast.MatchClass, subject: Any, frame: Frame) -> bool:
        cls = self.evaluate(pattern.cls, frame)
        if isinstance(cls, Unknown):
            raise Undecidable(cls)
        if not isinstance(subject, cls):
            return False
        if pattern.patterns and cls in _SELF_MATCHING:
            return self._matches(pattern.patterns[0], subject, frame)
        names = [*getattr(cls, "__match_args__", ())[: len(pattern.patterns)], *pattern.kwd_attrs]
        parts = [*pattern.patterns, *pattern.kwd_patterns]
        return len(names) == len(parts) and all(
            hasattr(subject, name) and self._matches(part, self.known(getattr(subject, name)), frame)
            for name, part in zip(names, parts, strict=True)
        )
