"""A friendly name for somebody who has not told theirs. Pure: the same id always gives the same name."""

from __future__ import annotations

import hashlib

NAME_LENGTH = 40
"""Characters of a name at most, of a guest or of anybody."""

# fmt: off
COLOURS = (
    "Amber", "Apricot", "Azure", "Blue", "Bronze", "Cobalt", "Copper", "Coral", "Crimson", "Dusky",
    "Emerald", "Golden", "Green", "Hazel", "Honey", "Indigo", "Ivory", "Jade", "Lilac", "Lime", "Maroon",
    "Mauve", "Mint", "Ochre", "Olive", "Pearl", "Plum", "Rose", "Ruby", "Russet", "Saffron", "Sage",
    "Scarlet", "Sienna", "Silver", "Sky", "Slate", "Tawny", "Teal", "Umber", "Velvet", "Violet",
)
ANIMALS = (
    "Badger", "Beaver", "Bison", "Bittern", "Bunting", "Crane", "Curlew", "Deer", "Dolphin", "Dormouse",
    "Dove", "Dunlin", "Falcon", "Ferret", "Finch", "Fox", "Gecko", "Goose", "Grouse", "Hare", "Hedgehog",
    "Heron", "Ibex", "Jay", "Kestrel", "Kite", "Lapwing", "Lark", "Linnet", "Lynx", "Marten", "Merlin",
    "Mole", "Newt", "Nuthatch", "Osprey", "Otter", "Owl", "Oyster", "Panda", "Pika", "Plover", "Puffin",
    "Quail", "Raven", "Robin", "Salmon", "Seal", "Shrew", "Siskin", "Sparrow", "Squirrel", "Starling",
    "Stoat", "Swan", "Swift", "Tern", "Thrush", "Tortoise", "Turtle", "Vole", "Warbler", "Weasel", "Wren",
)
# fmt: on


def guest_name(participant_id: str) -> str:
    """Such as ``Amber Otter``."""
    digest = hashlib.sha256(participant_id.encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    return f"{COLOURS[number % len(COLOURS)]} {ANIMALS[number // len(COLOURS) % len(ANIMALS)]}"
