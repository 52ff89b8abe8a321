"""Reads a cast from where a setting says it is: a TOML file, or an object in a module of one's own.

Owns the keys of that file. What is wrong in it is told in one line that names the entry and the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from webapp.agents.base import Agent
from webapp.agents.cast import COLORS, HUES, BadCast, Cast, Member, trigger
from webapp.agents.registry import AgentNotFound, Wishes, load_agent, look_up

_Name = Annotated[str, msgspec.Meta(pattern=r"^\S.{0,59}$")]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    model: str
    name: _Name | None = None
    color: int | str | None = None
    instructions: str | None = None
    tools: list[str] = []
    triggers: list[str] = []
    present: bool = True
    default: bool = False


@dataclass(frozen=True, slots=True)
class _Key:
    """A place in the file, for those who have to correct it."""

    path: Path
    entry: str
    key: str

    def bad(self, problem: object) -> BadCast:
        return BadCast(f"{self.path}, {self.entry}, {self.key}: {' '.join(str(problem).split())}")


def load_cast(spec: str, *, load: Callable[[str, Wishes], Agent] = load_agent) -> Cast:
    """The agents of ``agents.toml`` or ``module:attr``, which may be a Cast, or agents in a list or a dict.

    ``load`` makes one agent. Raises BadCast, AgentNotFound and OSError.
    """
    module_name, _, attribute = spec.partition(":")
    if not spec.endswith(".toml") and attribute:
        found: Any = look_up(module_name, attribute, spec)
        try:
            return Cast.of(found)
        except (TypeError, AttributeError):
            raise BadCast(f"{spec} is neither a cast nor a list or dict of agents") from None
    return _read(Path(spec).expanduser(), load)


def _read(path: Path, load: Callable[[str, Wishes], Agent]) -> Cast:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCast(f"{path}: {error}") from None
    entries = document.pop("agents", None)
    if document:
        raise BadCast(
            f"{path}, {next(iter(document))}: every agent begins with [[agents]], nothing else does"
        )
    if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
        raise BadCast(f"{path}: there is no [[agents]]")
    members: list[Member] = []
    defaults: list[str] = []
    for number, given in enumerate(entries, 1):
        name = f"agent {number}" + (f" ({given['id']})" if isinstance(given.get("id"), str) else "")
        entry = _entry(path, name, given)
        members.append(_member(path, name, entry, load))
        if entry.default:
            defaults.append(entry.id)
            if len(defaults) > 1:
                raise _Key(path, name, "default").bad(f"{defaults[0]} is the default already")
            if not entry.present:
                raise _Key(path, name, "default").bad("the default must be present")
    try:
        return Cast(members, default=next(iter(defaults), None))
    except BadCast as error:
        raise BadCast(f"{path}: {error}") from None


def _entry(path: Path, name: str, given: Mapping[str, Any]) -> _Entry:
    try:
        return msgspec.convert(given, _Entry)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        key = re.split(r"[`\[]", place)[0] or next(iter(re.findall(r"`(\w+)`", problem)), "?")
        raise _Key(path, name, key).bad(problem) from None


def _member(path: Path, name: str, entry: _Entry, load: Callable[[str, Wishes], Agent]) -> Member:
    tools = [_tool(_Key(path, name, "tools"), tool) for tool in entry.tools]
    wishes = Wishes(
        id=entry.id,
        name=entry.name or entry.id.replace("-", " ").capitalize(),
        instructions=entry.instructions,
        tools=tools,
    )
    try:
        agent = load(entry.model, wishes)
    except AgentNotFound as error:
        raise _Key(path, name, "model").bad(error) from None
    triggers = tuple(_triggers(_Key(path, name, "triggers"), entry.triggers))
    hue = _hue(_Key(path, name, "color"), entry.color)
    return Member(agent=agent, hue=hue, triggers=triggers, present=entry.present)


def _tool(key: _Key, spec: str) -> Callable[..., Any]:
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise key.bad(f"{spec!r} must be module:function")
    try:
        found = look_up(module_name, attribute, spec)
    except AgentNotFound as error:
        raise key.bad(str(error).removeprefix("Agent ")) from None
    if not callable(found):
        raise key.bad(f"{spec!r} is no function")
    return found


def _triggers(key: _Key, given: Iterable[str]) -> Iterable[re.Pattern[str]]:
    for text in given:
        if not text.strip("/ "):
            raise key.bad("an empty one would always be found")
        try:
            yield trigger(text)
        except re.error as error:
            raise key.bad(f"{text!r} is no regular expression: {error}") from None


def _hue(key: _Key, color: int | str | None) -> int | None:
    found = COLORS.get(color) if isinstance(color, str) else color
    if color is not None and (found is None or not 0 <= found < HUES):
        raise key.bad(f"must be 0 to {HUES - 1} or one of {', '.join(COLORS)}")
    return found
