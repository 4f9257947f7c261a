"""The local page over HTTP: what it shows, what it refuses, and that hostile text stays text; and
in a real browser.
"""

import http.client
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import numpy as np
import pytest

from parabench.contracts import Column, Signature, UserError
from parabench.explore.demo import MAX_CHARACTERS, Demo, answers, demo_page, demo_server
from parabench.explore.nearest import Neighbour, PromptPosition
from tests.support.pages import PAYLOADS

pytestmark = pytest.mark.loopback


@dataclass(frozen=True)
class Length:
    """Words of the text, of the source and of nothing that can be known without a reference."""

    columns: tuple = (
        Column("words", "none", "output", 0, "words of the text"),
        Column("more", "up", "source", 1, "words more than the source"),
        Column("hidden", "up", "reference", 0),
    )
    signature: Signature = Signature("length")  # noqa: RUF009

    def measure(self, examples, texts):
        rows = zip(examples, texts, strict=True)
        return np.array(
            [[len(t.split()), len(t.split()) - len(e.source.split()), 7.0] for e, t in rows]
        )

    def combine(self, statistics):
        return statistics.mean(axis=0)


def answer(system, text):
    if system == "broken":
        raise UserError(
            "use the system 'broken'", "<b>no such adapter</b>", mend="parabench train broken"
        )
    return {"copy": text, "hostile": PAYLOADS[0], "empty": ""}.get(
        system, f"yesterday {text} indeed"
    )


def near(system):
    tokens = (Neighbour("Ġcat", 0.5), Neighbour("<script>", 0.25))
    return (
        [PromptPosition(0, 1.0, 1.0, None, None, tokens, tokens)]
        if system == "softprompt-1"
        else ()
    )


DEMO = Demo(("softprompt-1", "copy", "hostile", "empty", "broken"), answer, (Length(),), near)


@contextmanager
def serving():
    with demo_server(DEMO, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running.server_port
        finally:
            running.shutdown()
            thread.join()


def get(port, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read().decode()


def ask(text, *systems):
    return "/?" + urlencode([("text", text), *(("system", name) for name in systems)])


def test_the_page_before_and_after_a_question():
    with serving() as port:
        status, headers, body = get(port)
        assert status == 200
        assert body.count(" checked") == len(DEMO.systems)
        assert "<article>" not in body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "<script" not in body
        _, _, body = get(port, ask("the cat", "softprompt-1", "copy", "nobody"))
        assert body.count("<article>") == 2
        assert "<ins>yesterday </ins>the cat" in body
        assert "<ins>indeed</ins>" in body
        assert '<span class="flag">copy</span>' in body
        assert "␣cat 0.50, &lt;script&gt; 0.25" in body
        assert body.count("<dt>words</dt>") == body.count("<dt>more</dt>") == 2
        assert "hidden" not in body.split("</style>")[1]


def test_one_system_that_fails_leaves_the_others():
    with serving() as port:
        _, _, body = get(port, ask("the cat", "broken", "empty", "copy"))
    assert "cannot use the system &#39;broken&#39;" in body
    assert "&lt;b&gt;no such adapter&lt;/b&gt;" in body
    assert "It wrote nothing." in body
    assert body.count("<article>") == 3


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text(payload):
    html5lib = pytest.importorskip("html5lib")
    with serving() as port:
        plain, hostile = (
            html5lib.parse(
                get(port, ask(text.encode("utf-8", "replace"), "copy"))[2],
                namespaceHTMLElements=False,
            )
            for text in ("plain", payload)
        )
        _, _, body = get(port, ask("plain", "hostile"))
    assert [element.tag for element in hostile.iter()] == [element.tag for element in plain.iter()]
    assert "<img" not in body
    assert "<script" not in body


def test_nobody_else_is_answered():
    with serving() as port:
        for headers, status in (
            ({"Host": "evil.example"}, 421),
            ({"Host": f"evil.example:{port}"}, 421),
            ({"Host": f"127.0.0.1:{port + 1}"}, 421),
            ({"Host": f"localhost:{port}"}, 200),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
        ):
            assert get(port, **headers)[0] == status, headers
        assert get(port, "/../etc/passwd")[0] == 404
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/", body="text=x")
        assert connection.getresponse().status == 501


def test_it_listens_on_the_loopback_alone():
    with demo_server(DEMO, 0) as running:
        assert running.socket.getsockname()[0] == "127.0.0.1"
        with pytest.raises(UserError, match="serve on port"):
            demo_server(DEMO, running.server_port)
    with pytest.raises(UserError, match="serve on port 70000"):
        demo_server(DEMO, 70000)


def test_too_long_a_sentence_and_too_many_fields_compute_nothing():
    with serving() as port:
        _, _, body = get(port, ask("x" * (MAX_CHARACTERS + 1), "copy"))
        assert f"at most {MAX_CHARACTERS} characters" in body
        assert "<article>" not in body
        assert get(port, "/?" + "&".join("system=copy" for _ in range(200)))[0] == 200
        assert "Choose a system." in get(port, ask("the cat"))[2]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_in_a_browser(browser, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    with serving() as port:
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        heard = []
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("dialog", lambda dialog: heard.append("dialog") or dialog.dismiss())
        tab.goto(f"http://localhost:{port}/", timeout=60_000)
        tab.get_by_label("broken").uncheck()
        tab.fill("[name=text]", "The <b>cat</b> sat.")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("article")
        assert tab.locator("article").count() == 4
        assert tab.locator(".source").inner_text() == "The <b>cat</b> sat."
        assert "<script>alert(1)</script><img src=x" in tab.locator("article").nth(2).inner_text()
        tab.locator("summary").first.click()
        assert tab.locator(".near li").inner_text() == "␣cat 0.50, <script> 0.25"
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert [item["id"] for item in axe.Axe().run(tab).response["violations"]] == []
        assert [text for text in heard if "favicon" not in text] == []
        tab.close()


def test_models_are_loaded_once_and_tell_where_they_are_from(monkeypatch):
    from parabench.commands.demo import load_demo
    from parabench.models import loading

    loaded = []
    real = loading.load_causal

    def load(*given):
        loaded.append(given)
        return real(*given)

    for name in ("parabench.baselines.causal", "parabench.explore.nearest"):
        monkeypatch.setattr(f"{name}.load_causal", load)
    demo = load_demo("mini", "softprompt-20,softprompt-163,copy", "divergence", "cpu")
    first = demo.answer("softprompt-20", demo.example)
    assert first
    assert demo.answer("softprompt-20", "The poet sold a house.")
    assert demo.answer("softprompt-20", demo.example) == first
    assert len(demo.near("softprompt-20")) == 20
    assert demo.answer("softprompt-163", demo.example)
    assert len(loaded) == 1
    assert "soft prompt" in demo.origins["softprompt-20"]
    assert "model" in demo.origins["softprompt-20"]
    assert demo.origins["copy"] == "no model"
    assert "toy" in demo.note


def test_the_page_shows_origins_the_note_and_a_first_sentence():
    told = replace(
        DEMO, origins={"copy": "no model <i>"}, example="A <b> sentence & more.", note="Toys <u>."
    )
    html, _ = demo_page(told, "", ["copy"], [])
    assert "Toys &lt;u&gt;." in html
    assert 'href="/?text=A%20%3Cb%3E%20sentence%20%26%20more.&amp;system=copy"' in html
    html, _ = demo_page(told, "Hello.", ["copy"], answers(told, "Hello.", ["copy"]))
    assert "no model &lt;i&gt;" in html
