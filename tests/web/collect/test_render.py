"""Texts of models and people, made to break out: on every page they stay text, and all of it is there."""

import re
import sys
import unicodedata
from html.parser import HTMLParser

import pytest

from preflab.data.store import conversation, people
from preflab.data.store.conversation import take_job
from preflab.data.store.studies import NewItem, add_items, create_study
from preflab.feedback.study import StudyDefinition
from preflab.web.collect.render import MAX_CHARACTERS, TEMPLATES, reveal_invisible
from tests.web.collect.lab import Lab

PLAIN = "Plain words."
TEMPLATE = "{{1234*4321}} {% raw %} {{ config }} {# #} ${1234*4321} #{1234*4321} <%= 1234*4321 %>"
HOSTILE: tuple[str, ...] = (
    "<script>alert(1)</script>",
    "</script><script src=//evil.example/x.js></script>",
    '"><script>alert(document.cookie)</script>',
    "'><img src=x onerror=alert(1)>",
    "<img src='https://evil.example/pixel.png'>",
    "![see](https://evil.example/pixel.png)",
    "[click](javascript:alert(1))",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<math><mtext></mtext><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe src=//evil.example></iframe>",
    "<object data=//evil.example></object>",
    "<embed src=//evil.example>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<div style='background:url(//evil.example/x)'>x</div>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><button>go</button></form>",
    "<button formaction=//evil.example form=x>go</button>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<body onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</div></section></main></body></html><h1>Log in again</h1>",
    "<!-- <script>alert(1)</script> -->",
    "--><script>alert(1)</script><!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<x hx-get=/account/erase hx-trigger=load>x</x>",  # what the page's own library would act on
    "<div data-hx-post=/logout data-hx-trigger=load>x</div>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x3c;script&#x3e; &nosuch;",
    '" onmouseover=alert(1) x="',
    "' autofocus onfocus=alert(1) '",
    "` onmouseover=alert(1) `",
    TEMPLATE,
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "%s %d %(x)s {0} {x} \\u003cscript\\u003e \\x3cscript\\x3e",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE judgement; --",
    "\ufeff<script>alert(1)</script>",
    "<\u200bscript>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "first\nsecond\r\nthird\rfourth\ttabbed",
    "a" * 3000 + "<b>",
    "\u202e)gnihton od( nottub\u202c \u2066isolated\u2069 \u061c",
    "zero\u200bwidth\u2060here\u00ad \u180e \u115f",
    "Zalgo: " + "Z\u0351\u036b\u0343" * 40,
    "שלום עולם مرحبا بالعالم",
    "family 👨\u200d👩\u200d👧\u200d👦 flag 🏳\ufe0f\u200d🌈 skin 👍🏽",
    "NUL \x00 bell \x07 escape \x1b[31mred delete \x7f next \x85.",
    "half \ud83d and half \udc4d",
)

PLOTTED = (PLAIN, HOSTILE[0], HOSTILE[2], TEMPLATE, HOSTILE[-1])
"""With these the page of results is looked at too: its plots take a second."""


class Page(HTMLParser):
    """What a browser makes of a page: elements with attributes, and text. It complains of nothing, as browsers do."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text, self.comments = "", 0
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    def handle_decl(self, decl: str) -> None:
        assert decl == "doctype html"

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")

    @property
    def shape(self) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
        """Elements and attributes, without the values that differ from page to page."""
        return [(tag, tuple((name, _still(name, value)) for name, value in attrs)) for tag, attrs in self.elements]


_VARIES = re.compile(r"[0-9a-f]{40}|p-[2-9a-z]{10}|[\w-]{20,}|\d+")


def _still(name: str, value: str | None) -> str | None:
    """An attribute's value with numbers, keys, tokens and pseudonyms of this one page taken out."""
    if value is None or name == "class":
        return value
    return "a picture" if value.startswith("data:image/svg+xml;base64,") else _VARIES.sub("#", value)


def visible(text: str) -> str:
    """As a reader finds it, by its letters: what cannot be seen is spelled out."""
    found = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        f"[U+{ord(c):04X}]"
        if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") and c not in "\n\t\u200c\u200d"
        else c
        for c in found
    )


def definition(kind: str, title: str = "t", **more: object) -> dict[str, object]:
    name = "".join(c for c in title[:100] if c.isprintable())
    policies = [{"name": name, "model": "tiny"}] if kind == "chat" else []
    title = title.encode("utf-8", "replace").decode()  # half a surrogate is refused in a definition
    given = {"protocol": kind, "title": title, "instructions": title, "consent": title, "warning": title}
    found = StudyDefinition.from_mapping({"name": "s", **given, "policies": policies, **more})
    return found.to_json()


class House:
    """A study whose every text is the same one: compared by rank and by chat, seen by annotator and owner."""

    def __init__(self, lab: Lab, text: str) -> None:
        self.lab, self.text = lab, text
        name = "".join(c for c in text[:150] if c.isprintable()).strip()
        definition_ = definition("rank", text)
        create_study(lab.store, "rank", definition_ | {"name": "rank"})
        content = {"prompt": [{"role": "user", "content": text}], "replies": [text, f"{text} "], "policies": ["", ""]}
        add_items(lab.store, "rank", [NewItem(name=name, content=content, slots=2)])
        create_study(lab.store, "chat", definition("chat", text) | {"name": "chat"})
        add_items(lab.store, "chat", [NewItem(name=name, content={"topic": text}, slots=2)])
        self.owner = lab.browser(lab.person(("*", "owner"), name=name[:100]))
        self.annotator = lab.browser(lab.person(("rank", "annotator"), ("chat", "annotator")))
        people.issue_token(lab.store, "invite", study="rank", role="annotator", days=1.0, note=name)

    def pages(self) -> dict[str, str]:
        """Every page that shows a text of somebody else's, by a name."""
        found: dict[str, str] = {}
        go = self.annotator
        found["home"] = go.get("/").text
        found["intro"] = go.get("/s/rank").text
        task = go.get("/s/rank/next").headers["location"]
        found["task"] = go.get(task).text
        lease = re.search(r'name="lease" value="([^"]+)"', found["task"])
        assert lease is not None
        form = {"lease": lease.group(1), "comment": self.text.encode("utf-8", "replace").decode()}
        found["complaint"] = go.post(task, key="k" * 20, **form).text  # no choice was made: it comes back filled in
        assert go.post(task, key="k" * 20, scale="1", **form).status_code == 303
        found["history"] = go.get("/s/rank/history").text
        found |= self._talk()
        for name in ("log", "manage", *(("results",) if self.text in PLOTTED else ())):
            found[name] = self.owner.get(f"/s/rank/{name}").text
        seq = re.search(r"/s/rank/judgements/(\d+)", found["log"])
        assert seq is not None
        found["judgement"] = self.owner.get(f"/s/rank/judgements/{seq.group(1)}").text
        found["account"] = self.owner.get("/account").text
        return found

    def _talk(self) -> dict[str, str]:
        """A chat in which both replies say it too."""
        go, store = self.annotator, self.lab.store
        task = go.get("/s/chat/next").headers["location"]
        before = go.get(task).text
        lease = re.search(r'name="lease" value="([^"]+)"', before)
        assert lease is not None
        said = self.text.encode("utf-8", "replace").decode()[:15_000] or "x"
        assert go.post(f"{task}/say", key="m" * 20, lease=lease.group(1), message=said).status_code == 303
        while (job := take_job(store, "worker")) is not None:
            conversation.finish_reply(store, job.reply, "worker", self.text, {})
        return {"chat before": before, "chat": go.get(task).text, "talk": go.get(f"{task}/talk").text}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The pages of a harmless text: what elements there are."""
    own = Lab(tmp_path_factory.mktemp("plain"))
    pages = {name: Page(text) for name, text in House(own, PLAIN).pages().items()}
    own.close()
    return pages


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:30]))
def test_no_element_and_no_attribute_comes_from_a_text_and_all_of_it_is_there(
    text: str, plain: dict[str, Page], lab: Lab
) -> None:
    found = {name: Page(page) for name, page in House(lab, text).pages().items()}
    assert found.keys() >= plain.keys() - {"results"}
    for name, page in found.items():
        assert page.shape == plain[name].shape, name
        assert page.comments == 0
    wanted = visible(text)
    for name in ("intro", "task", "chat before", "chat", "talk"):
        times = {"intro": 3, "task": 3, "chat before": 1, "chat": 3, "talk": 3}[name]
        kept = visible(conversation.storable(text)) if name in ("chat", "talk") else wanted
        kept = visible(text.encode("utf-8", "replace").decode()) if name == "intro" else kept
        halves = "half \ud83d" in text  # no browser can send it: it is in what the owner and the policies wrote alone
        assert found[name].text.count(kept.strip()) >= (1 if halves else times), name
    if text == TEMPLATE:
        assert all("5332114" not in page.text for page in found.values())


def test_there_are_fifty_texts_and_more() -> None:
    assert len(set(HOSTILE)) >= 50


def test_a_line_of_a_million_characters_is_cut_and_says_so(lab: Lab) -> None:
    text = "<b>" + "x" * 1_000_000
    content = {"prompt": [{"role": "user", "content": text}], "replies": [text, "short"], "policies": ["", ""]}
    create_study(lab.store, "long", definition("rank") | {"name": "long"})
    add_items(lab.store, "long", [NewItem(name="long", content=content)])
    go = lab.browser(lab.person(("long", "annotator")))
    page = go.get(go.get("/s/long/next").headers["location"]).text
    assert len(page) < 2 * MAX_CHARACTERS + 50_000
    assert Page(page).text.count("[… 800,003 more characters]") == 2


def test_every_character_that_cannot_be_seen_is_spelled_out_and_every_other_is_left_alone() -> None:
    kept = {"\n", "\t", "\u200c", "\u200d"}
    planes = [*range(0, 0x20000, 4096), 0xE0000, 0xF0000, sys.maxunicode + 1 - 4096]  # between them nothing is assigned
    for start in planes:
        text, wanted = [chr(number) for number in range(start, start + 4096)], []
        for c in text:
            hidden = unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") and c not in kept
            wanted.append("\n" if c == "\r" else f"[U+{ord(c):04X}]" if hidden else c)
        assert reveal_invisible("".join(text)) == "".join(wanted), hex(start)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("user\u202egnp.exe", "user[U+202E]gnp.exe"),
        ("\ud800", "[U+D800]"),
        ("\u2028", "[U+2028]"),
        ("e\u0301", "e\u0301"),  # combining marks
        ("👩\u200d🚀", "👩\u200d🚀"),  # joined emoji
        (
            "\u0645\u06cc\u200c\u0631\u0648\u0645",
            "\u0645\u06cc\u200c\u0631\u0648\u0645",
        ),  # Persian needs its non-joiner
        (7, "7"),
    ],
)
def test_hand_picked_characters(text: object, page: str) -> None:
    assert reveal_invisible(text) == page


def test_no_template_and_no_code_marks_anything_as_safe() -> None:
    code = [*TEMPLATES.parent.rglob("*.py"), *TEMPLATES.rglob("*.j2")]
    assert len(code) > 40
    for path in code:
        text = path.read_text()
        for sign in (
            r"\|\s*(safe|xmlattr|tojson|forceescape)\b",
            r"\bMarkup\b",
            r"autoescape\s+false",
            "autoescape=False",
        ):
            assert not re.search(sign, text), (path.name, sign)


def test_scripts_of_ours_build_nothing_from_text() -> None:
    scripts = list((TEMPLATES.parent / "static").glob("*.js"))
    assert scripts
    for path in scripts:
        found = re.search(
            r"\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
        )
        assert found is None, (path.name, found)


def test_pages_hold_no_inline_script_style_or_handler_and_load_nothing_from_elsewhere(plain: dict[str, Page]) -> None:
    for name, page in plain.items():
        for tag, attributes in page.elements:
            given = dict(attributes)
            assert tag not in ("style", "iframe", "object", "embed", "base"), name
            assert tag != "script" or given.get("src", ""), name
            assert not [key for key in given if key.startswith("on") or key == "style"], name
            for key in ("src", "href", "action", "formaction", "hx-get", "hx-post"):
                value = given.get(key)
                assert value is None or value.startswith(("/", "#", "data:,", "data:image/", "?")), (name, value)
