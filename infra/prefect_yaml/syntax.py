"""What YAML allows beside plain values: other encodings, merge keys, aliases of aliases, keys that are lists."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml


def decoded(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its byte order mark.

    Raises:
        ValueError: it does not exist, cannot be read or is in another encoding.

    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        message = f"{path.name} does not exist: create it next to Pulumi.yaml, with `deployments: []` for none"
        raise ValueError(message) from None
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror}); correct that") from None
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"{path.name}:{line}: this line is not in UTF-8, which Prefect needs too; save the file as UTF-8"
        raise ValueError(message) from None


def is_merge(key: yaml.Node) -> bool:
    return key.tag == "tag:yaml.org,2002:merge"


def key_text(key: yaml.Node) -> str:
    """Return a scalar key as text; true and false as JSON spells them."""
    if key.tag == "tag:yaml.org,2002:bool":
        return "true" if key.value.lower() in ("yes", "true", "on") else "false"
    return str(key.value)


def complex_keys(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield line and kind of every key that is a list or a mapping, of which no dictionary can be made."""
    for each in _unique(node):
        if isinstance(each, yaml.MappingNode):
            for key, _ in each.value:
                if not isinstance(key, yaml.ScalarNode):
                    yield key.start_mark.line + 1, "that is a list" if key.id == "sequence" else "that is a mapping"


def repeated_keys(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield line and text of every key that its mapping has already. Merge keys add up, so they may be repeated."""
    for each in _unique(node):
        if isinstance(each, yaml.MappingNode):
            keys: set[tuple[str, str]] = set()
            for key, _ in each.value:
                if not is_merge(key) and (key.tag, key.value) in keys:
                    yield key.start_mark.line + 1, key.value
                keys.add((key.tag, key.value))


def shared(node: yaml.Node, others: Iterable[yaml.Node]) -> bool:
    """Return whether aliases elsewhere refer to a part of the node, so that it has an effect there."""
    used = {id(each) for other in others for each in _unique(other)}
    return any(id(each) in used for each in _unique(node))


def first_loop(node: yaml.Node) -> int | None:
    """Return the line of the first value that contains an alias of itself, or None."""
    done: set[int] = set()
    path: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(node, False)]
    while waiting:
        each, leaving = waiting.pop()
        if leaving:
            path.discard(id(each))
            done.add(id(each))
        elif id(each) in path:
            return int(each.start_mark.line) + 1
        elif id(each) not in done:
            path.add(id(each))
            waiting.append((each, True))
            waiting += [(child, False) for child in reversed(_children(each))]
    return None


def size(node: yaml.Node) -> int:
    """Return how many values a node without loops has when every alias is written out."""
    sizes: dict[int, int] = {}
    for each in _children_first(node):
        sizes[id(each)] = 1 + sum(sizes[id(child)] for child in _children(each))
    return sizes[id(node)]


def invalid_scalar(node: yaml.Node, loader: Any) -> int:
    """Return the line of the first scalar that the loader makes no value of, such as a 13th month."""
    for each in _unique(node):
        if isinstance(each, yaml.ScalarNode):
            loader.constructed_objects, loader.recursive_objects = {}, {}
            try:
                loader.construct_object(each)
            except (ValueError, TypeError, AttributeError, OverflowError):
                return int(each.start_mark.line) + 1
    return int(node.start_mark.line) + 1


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded. An escape in YAML can make half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _children_first(node: yaml.Node) -> list[yaml.Node]:
    """Return every node once, after all that it contains."""
    order: list[yaml.Node] = []
    done: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(node, False)]
    while waiting:
        each, leaving = waiting.pop()
        if leaving:
            order.append(each)
        elif id(each) not in done:
            done.add(id(each))
            waiting.append((each, True))
            waiting += [(child, False) for child in _children(each)]
    return order


def _unique(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield every node once, however often aliases refer to it."""
    done: set[int] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if id(each) not in done:
            done.add(id(each))
            yield each
            waiting += reversed(_children(each))


def _children(node: yaml.Node) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
