"""A local page to try systems on: paraphrases of a sentence, their word diffs and scores.

No script runs in it.

It is served to this machine alone. A page elsewhere cannot ask it for anything, by its own name
(the Host header is checked, against DNS rebinding) or across sites; and what people and models
write is text, never markup.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, urlsplit

from markupsafe import Markup

from parabench.contracts import Column, Example, Scorer, UserError
from parabench.explore.mappage import near_text
from parabench.explore.nearest import PromptPosition
from parabench.render.diff import is_copy, word_diff
from parabench.render.escape import visible
from parabench.render.templating import csp_hash, load_template, template_text

ADDRESS = "127.0.0.1"
MAX_CHARACTERS = 1000
"""Characters of a sentence."""
TRY = "The old farmer sold the horse in April."


@dataclass(frozen=True)
class Demo:
    """What the page offers.

    Attributes:
        systems: by name, in order.
        answer: paraphrases: given a system and a sentence.
        scorers: measure what needs no reference.
        near: given a system, what its soft prompt is near to; nothing for one without.
        origins: by system, the models and the prompt that it is made of.
        example: a sentence that is offered to begin with.
        note: what is to be known of the models before they are judged; empty where nothing is.
    """

    systems: Sequence[str]
    answer: Callable[[str, str], str]
    scorers: Sequence[Scorer]
    near: Callable[[str], Sequence[PromptPosition]]
    origins: Mapping[str, str] = field(default_factory=dict)
    example: str = TRY
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """One system's paraphrase, or ``error``, which says why there is none.

    ``runs`` is its word diff, ``near`` what each position of the system's prompt is near to.
    """

    system: str
    text: str = ""
    error: str = ""
    runs: Sequence[str] = ()
    scores: Sequence[tuple[Column, float]] = ()
    copied: bool = False
    near: Sequence[PromptPosition] = ()


def answers(
    demo: Demo,
    text: str,
    systems: Sequence[str],
) -> list[Answer]:
    """Every chosen system's answer; one that cannot answer says why, beside the others."""
    return [_answer(demo, text, name) for name in systems]


def _answer(
    demo: Demo,
    text: str,
    system: str,
) -> Answer:
    try:
        made = demo.answer(system, text)
        near = demo.near(system)
    except UserError as error:
        # The other systems answer all the same.
        return Answer(system, error=f"cannot {error}")
    # Compared as they are shown, so that an invisible character is a difference.
    different = word_diff(visible(text), visible(made))
    return Answer(
        system,
        made,
        "",
        different,
        _scores(demo, text, made),
        is_copy(text, made),
        near,
    )


def _scores(
    demo: Demo,
    source: str,
    text: str,
) -> Sequence[tuple[Column, float]]:
    """Every column that needs no reference, on this one sentence; undefined ones are left out."""
    # One example without references, for columns that read none.
    examples = [Example("", source, ())]
    found: list[tuple[Column, float]] = []
    for scorer in demo.scorers:
        values = scorer.combine(scorer.measure(examples, [text]))
        pairs = zip(scorer.columns, map(float, values), strict=True)
        found += [
            (c, v) for c, v in pairs if c.against in ("source", "output") and math.isfinite(v)
        ]
    return found


def demo_page(
    demo: Demo,
    text: str,
    chosen: Sequence[str],
    found: Sequence[Answer],
    problem: str = "",
) -> tuple[str, str]:
    """The page, and the content-security policy that it is to be sent with.

    Args:
        demo: what can be asked.
        text: the sentence in the form.
        chosen: names of the systems that are ticked.
        found: the answers to show.
        problem: why the sentence was not taken; empty where it was.
    """
    style = template_text("parabench.render", "page.css")
    style += template_text("parabench.explore", "demo.css")
    # Forms go to this server alone, and no other page may frame this one.
    policy = [
        "default-src 'none'",
        f"style-src {csp_hash(style)}",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    page = load_template("parabench.explore", "demo.html.j2", visible=visible, near=near_text)
    html = page.render(
        demo=demo,
        text=text,
        chosen=chosen,
        found=found,
        problem=problem,
        longest=MAX_CHARACTERS,
        style=Markup(style),
    )
    return html, "; ".join(policy)


def demo_server(demo: Demo, port: int) -> ThreadingHTTPServer:
    """A server of the page on this machine's loopback; ``port`` 0 takes a free one.

    Raises:
        UserError: where the port cannot be served on.
    """
    turn = Lock()

    class Handler(BaseHTTPRequestHandler):
        server_version = "parabench"
        sys_version = ""
        timeout = 30

        def do_GET(self) -> None:
            if refusal := _refusal(self, serving.server_port):
                self.send_error(refusal)
                return
            text, chosen = _asked(self.path, demo)
            problem = f"at most {MAX_CHARACTERS} characters" if len(text) > MAX_CHARACTERS else ""
            # One question at a time: models are not made to answer from several threads.
            with turn:
                found = answers(demo, text, chosen) if text and not problem else []
            self._send(*demo_page(demo, text[:MAX_CHARACTERS], chosen, found, problem))

        def _send(self, html: str, policy: str) -> None:
            body = html.encode("utf-8", "replace")
            self.send_response(HTTPStatus.OK)
            for name, value in (
                *HEADERS,
                ("Content-Security-Policy", policy),
                ("Content-Length", str(len(body))),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Say nothing: an address holds what somebody wrote."""

    try:
        serving = ThreadingHTTPServer((ADDRESS, port), Handler)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"serve on port {port}", str(error), mend="parabench models demo --port 0"
        ) from None
    return serving


HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def _refusal(request: BaseHTTPRequestHandler, port: int) -> HTTPStatus | None:
    """Why a request is refused; None where it is not.

    Another host name than ours means DNS rebinding; another site's page may not ask at all.
    """
    # Two Host headers are a way to be taken for another server by one of two readers.
    hosts = request.headers.get_all("Host", [])
    if len(hosts) != 1 or hosts[0] not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
        return HTTPStatus.MISDIRECTED_REQUEST
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return HTTPStatus.FORBIDDEN
    if urlsplit(request.path).path == "/":
        return None
    return HTTPStatus.NOT_FOUND


def _asked(path: str, demo: Demo) -> tuple[str, list[str]]:
    """The sentence and the chosen systems; all systems where nothing was asked yet."""
    try:
        fields = parse_qs(urlsplit(path).query, max_num_fields=100)
    except ValueError:
        fields = {}
    # Line breaks and runs of blanks are no part of a sentence.
    text = " ".join(fields.get("text", [""])[0].split())
    return text, [
        name for name in demo.systems if name in fields.get("system", [] if text else demo.systems)
    ]
