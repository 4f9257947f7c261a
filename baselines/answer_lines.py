"""Which line of what a chat model wrote is its answer: no thoughts, no preamble, no refusal."""

from __future__ import annotations

import re

_THOUGHT_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
_THOUGHTS = re.compile(rf"<({_THOUGHT_TAGS})>.*?</\1>", re.DOTALL | re.IGNORECASE)
# Chat templates may write the opening tag themselves: then only the closing one comes back.
_THOUGHTS_CLOSED = re.compile(rf"^.*</(?:{_THOUGHT_TAGS})>", re.DOTALL | re.IGNORECASE)
_THOUGHTS_OPEN = re.compile(rf"<(?:{_THOUGHT_TAGS})>.*$", re.DOTALL | re.IGNORECASE)
_INTERJECTION = re.compile(
    r"(sure|certainly|of course|okay|ok|absolutely|got it|here you go|no problem)"
    r"[\s,.!:;–-]*(thing)?[\s.!:]*",
    re.IGNORECASE,
)
_APOLOGY = re.compile(
    r"(i['’]?m (very |really )?sorry|i am (very |really )?sorry|sorry|i apologi[sz]e"
    r"|unfortunately|i can['’]?t|i cannot|i can not|i won['’]?t|i will not"
    r"|i['’]?m (unable|not able)|i am (unable|not able)|as an ai\b)",
    re.IGNORECASE,
)
_DECLINES = re.compile(
    r"\b(can['’]?t|cannot|can not|won['’]?t|will not|unable|not able|decline|refuse)\b.*"
    r"\b(assist|help|fulfil|fulfill|comply|provide|paraphrase|rewrite|rephrase|generate"
    r"|create|continue|request|discuss|answer)",
    re.IGNORECASE,
)


def answer_line(content: str, source: str) -> tuple[str, bool]:
    """The line of a content that is the paraphrase, and whether another line follows it.

    Thoughts between tags, fences of code and lines that announce an answer are passed over. The
    line is empty where nothing else is there.
    """
    text = without_thoughts(content)
    lines: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("```"):
            lines.append(stripped)
    # a line that announces an answer is the answer, where nothing follows it
    while len(lines) > 1 and is_preamble(lines[0], source):
        lines = lines[1:]
    if not lines:
        return "", False
    # the break behind a last line ends it just as a further line would
    broken = text.rstrip(" \t") != text.rstrip()
    return lines[0], len(lines) > 1 or broken


def without_thoughts(text: str) -> str:
    """A text without what is between tags of thoughts, or behind one that is never closed."""
    text = _THOUGHTS.sub("", text)
    text = _THOUGHTS_CLOSED.sub("", text)
    return _THOUGHTS_OPEN.sub("", text)


def is_preamble(line: str, source: str) -> bool:
    """Whether a line only announces the answer: it ends in a colon, or says no more than "Sure!".

    A source that itself ends so may well be paraphrased by such a line.
    """
    if source.rstrip().endswith(":"):
        return False
    return line.rstrip("*_ ").endswith(":") or _INTERJECTION.fullmatch(line) is not None


def is_refusal(text: str, source: str) -> bool:
    """Whether a text declines to answer; a source that declines something may be paraphrased so."""
    if _APOLOGY.match(source.strip()) or _DECLINES.search(source):
        return False
    return _APOLOGY.match(text) is not None and _DECLINES.search(text) is not None
