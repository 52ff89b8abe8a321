"""Markdown of people and agents to safe HTML.

Three layers, each sufficient for its own purpose: markdown-it without raw HTML, renderer rules that never
emit an image, and nh3's allow-list over the result. Code is highlighted with Pygments classes, because the
content security policy forbids inline styles; ``static/css/code.css`` colours them (code_css.py generates
it).

Must not know messages, people or templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MAX_MARKDOWN = 100_000
"""Characters that are read as markdown. What follows is shown plain: parsing hostile input is slow."""
MAX_HIGHLIGHT = 30_000
CLASS_PREFIX = "tok-"

_URL_SCHEMES = {"http", "https", "mailto"}
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")
# The link finder is quadratic in the length of a word; no address that a person reads is this long.
_ENDLESS_WORD = re.compile(r"\S{2048}")

_TAGS = {
    *("p", "br", "hr", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("em", "strong", "s", "a", "code", "pre", "span", "figure", "figcaption"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "code": {"class"},
    "pre": {"class"},
    "span": {"class"},
    "figure": {"class"},
    "th": {"class"},
    "td": {"class"},
}


def render_markdown(text: str) -> Markup:
    """Safe HTML of ``text``. Never raises on any input."""
    text = text.encode(errors="replace").decode()  # JSON may carry half a surrogate pair; HTML cannot
    head, rest = text[:MAX_MARKDOWN], text[MAX_MARKDOWN:]
    parser = _PLAIN if _ENDLESS_WORD.search(head) else _LINKING
    html = nh3.clean(
        parser.render(head),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_URL_SCHEMES,
        link_rel="noopener noreferrer nofollow ugc",
        strip_comments=True,
    )
    if rest:
        html += f'<pre class="plain">{escapeHtml(rest)}</pre>'
    return Markup(html)  # noqa: S704 - cleaned by nh3 above, and the rest is escaped


class MarkdownCache:
    """Rendered markdown by content, up to ``max_chars`` of HTML; the least recently used goes first.

    A finished message never changes, so a page costs its visible messages once. Usable from several threads.
    """

    def __init__(self, *, max_chars: int = 32_000_000) -> None:
        self._max_chars = max_chars
        self._chars = 0
        self._html: dict[bytes, Markup] = {}
        self._lock = Lock()

    def render(self, text: str) -> Markup:
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            found = self._html.pop(key, None)
            if found is not None:
                self._html[key] = found
                return found
        html = render_markdown(text)
        with self._lock:
            if key not in self._html:
                self._html[key] = html
                self._chars += len(html)
            while self._chars > self._max_chars:
                oldest = next(iter(self._html))
                self._chars -= len(self._html.pop(oldest))
        return html


def _code_block(code: str, info: str) -> str:
    match = _LANGUAGE.match(info.strip())
    language = match[0].lower() if match else ""
    label = f'<span class="lang">{escapeHtml(language)}</span>'
    opening = f'<code class="language-{escapeHtml(language)}">' if language else "<code>"
    body = _highlighted(code, language)
    return f'<figure class="code"><figcaption>{label}</figcaption><pre>{opening}{body}</code></pre></figure>'


def _highlighted(code: str, language: str) -> str:
    if not language or len(code) > MAX_HIGHLIGHT:
        return escapeHtml(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escapeHtml(code)
    formatter = HtmlFormatter(nowrap=True, classprefix=CLASS_PREFIX)
    html: str = highlight(code, lexer, formatter)
    # The formatter ends every line; the code may not have.
    return html if code.endswith("\n") else html.removesuffix("\n")


class _Renderer(RendererHTML):
    """markdown-it's renderer with our code blocks, no images and no inline styles.

    It leaves no line breaks between blocks: the page builds the same nodes while text arrives.
    """

    def renderToken(  # noqa: N802 - markdown-it's name
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return super().renderToken(tokens, idx, options, env).strip("\n")

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _code_block(tokens[idx].content, tokens[idx].info)

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _code_block(tokens[idx].content, "")

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A link: fetching an address that a model made up would tell its owner what was said."""
        token = tokens[idx]
        source = escapeHtml(str(token.attrs.get("src", "")))
        text = self.renderInlineAsText(token.children or [], options, env) or str(token.attrs.get("src", ""))
        return f'<a href="{source}">{escapeHtml(text)}</a>'

    @staticmethod
    def renderAttrs(token: Token) -> str:  # noqa: N802 - markdown-it's name
        """Column alignment is the only style markdown-it writes; it becomes a class."""
        style = str(token.attrs.pop("style", ""))
        if style.startswith("text-align:"):
            token.attrs["class"] = "align-" + style.removeprefix("text-align:")
        return RendererHTML.renderAttrs(token)


def _parser(*, linkify: bool) -> MarkdownIt:
    options: Mapping[str, Any] = {"html": False, "linkify": linkify}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    return parser.enable("linkify") if linkify else parser


_LINKING = _parser(linkify=True)
_PLAIN = _parser(linkify=False)
