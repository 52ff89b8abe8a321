"""The style sheet ``static/css/code.css``: Pygments' colours for code, made readable on our paper.

Knows the classes that markdown.py puts into the HTML, and nothing else.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from pygments.formatters import HtmlFormatter

from webapp.web.markdown import CLASS_PREFIX

Colour: TypeAlias = tuple[int, int, int]
# --paper-sunken of tokens.css, which is behind all code.
_LIGHT_PAPER: Colour = (0xF6, 0xF3, 0xEF)
_DARK_PAPER: Colour = (0x10, 0x0E, 0x0C)
_HEX = re.compile(r"#([0-9A-Fa-f]{6}|[0-9A-Fa-f]{3})\b")
READABLE = 4.6


def code_css() -> str:
    """The style sheet for highlighted code, light and dark, for ``static/css/code.css``."""
    light = _rules("default", paper=_LIGHT_PAPER)
    dark = _rules("github-dark", paper=_DARK_PAPER)
    return "\n".join(
        (
            "/* Generated: python -m webapp.web.code_css > static/css/code.css */",
            *(f".code {rule}" for rule in light),
            "@media (prefers-color-scheme: dark) {",
            *(f'  :root:not([data-theme="light"]) .code {rule}' for rule in dark),
            "}",
            *(f':root[data-theme="dark"] .code {rule}' for rule in dark),
            "",
        )
    )


def _rules(style: str, *, paper: Colour) -> list[str]:
    """Pygments' rules for token classes alone: the page's own colours stay behind and around the code, and on
    them every colour can be read (WCAG AA)."""
    formatter: Any = HtmlFormatter(style=style, classprefix=CLASS_PREFIX)
    lines = str(formatter.get_style_defs("")).splitlines()
    rules = [line.strip().partition(" /*")[0] for line in lines]
    coloured = (rule for rule in rules if rule.startswith(f".{CLASS_PREFIX}"))
    bare = [re.sub(r" ?(background-color|border): [^;}]+;?", "", rule) for rule in coloured]
    kept = (rule for rule in bare if not re.search(r"\{\s*\}", rule))
    return [_HEX.sub(lambda match: _readable(match[1], paper=paper), rule) for rule in kept]


def _readable(digits: str, *, paper: Colour) -> str:
    """The colour, brought away from the paper as far as it has to be."""
    wide = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    colour: Colour = (int(wide[:2], 16), int(wide[2:4], 16), int(wide[4:], 16))
    if contrast(colour, paper) >= READABLE:
        return f"#{digits}"
    target = 0 if luminance(paper) > 0.5 else 255
    while contrast(colour, paper) < READABLE:
        red, green, blue = (
            round(part + (target - part) * 0.05 + (0.5 if target else -0.5)) for part in colour
        )
        colour = (red, green, blue)
    return "#" + bytes(colour).hex()


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG has it: 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Colour) -> float:
    parts = (part / 255 for part in colour)
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


if __name__ == "__main__":
    print(code_css(), end="")
