"""Which line of what a chat model wrote is its answer: no thoughts, no preamble, no refusal."""

from __future__ import annotations

import re

_THOUGHT_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|seed:think"
_THOUGHTS = re.compile(rf"<({_THOUGHT_TAGS})>.*?</\1>", re.DOTALL | re.IGNORECASE)
# Other marks of thoughts, as they come where no server has taken them out: Magistral's and Kimi's.
_OTHER_MARKS = (("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"), ("<|thinking|>", "<|/thinking|>"))
# gpt-oss writes each of its channels behind such a mark, and the answer into the last.
_FINAL_CHANNEL = re.compile(r"^.*<\|channel\|>\s*final[^<]*<\|message\|>", re.DOTALL)
_OTHER_CHANNEL = re.compile(r"<\|channel\|>.*$", re.DOTALL)
_MARKS = re.compile(r"<\|(end|return|start|message)\|>.*$", re.DOTALL)
# Chat templates may write the opening tag themselves: then only the closing one comes back.
_THOUGHTS_CLOSED = re.compile(rf"^.*</(?:{_THOUGHT_TAGS})>", re.DOTALL | re.IGNORECASE)
_THOUGHTS_OPEN = re.compile(rf"<(?:{_THOUGHT_TAGS})>.*$", re.DOTALL | re.IGNORECASE)
_INTERJECTION = re.compile(
    r"(sure|certainly|of course|okay|ok|absolutely|got it|here you go|no problem)"
    r"[\s,.!:;–-]*(thing)?[\s.!:]*",
    re.IGNORECASE,
)
# "Paraphrase: …" and "Here is a paraphrased version: …" on the line of the answer itself.
_LABEL = re.compile(
    r"\**((sure|certainly|of course|okay)[,.!]+ )?"
    r"((here['’]?s|here is) (a|the|one|your) )?((possible|rephrased|reworded|rewritten|new) )?"
    r"(paraphrase|paraphrased|rephrased|rewritten|reworded|rewrite|rephrasing)"
    r"( (sentence|version|text))?( of (the|your) (\w+ )?(sentence|text))?\**:\**\s+",
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
_SORRY = re.compile(
    r"(i['’]?m |i am )?(very |really )?sorry|i apologi[sz]e|unfortunately", re.IGNORECASE
)
_DECLINES_THAT = re.compile(
    r"\b(can['’]?t|cannot|can not|won['’]?t|unable to|not able to) "
    r"(do (that|this|so)|process|reword|restate|respond|engage|support|accommodate)",
    re.IGNORECASE,
)
# The beginning of an apology and what declines, in languages that models fall back to.
_OTHER_LANGUAGES = (
    (re.compile(r"(抱歉|对不起|很抱歉|很遗憾)"), re.compile(r"(无法|不能|不可以)")),
    (re.compile(r"(申し訳|すみません|ごめんなさい)"), re.compile(r"(できません|できかねます)")),
    (
        re.compile(r"(es )?tut mir (sehr )?leid|leider", re.I),
        re.compile(r"\b(kann|darf)\b.*\bnicht\b", re.I),
    ),
    (re.compile(r"lo siento", re.I), re.compile(r"no (puedo|es posible)", re.I)),
    (re.compile(r"(je suis )?désolée?", re.I), re.compile(r"ne (peux|puis)( pas)?", re.I)),
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
    label = _LABEL.match(lines[0])
    if label and not _LABEL.match(source):
        # a label that nothing follows is the answer itself
        lines[0] = lines[0][label.end() :] or lines[0]
    # the break behind a last line ends it just as a further line would
    broken = text.rstrip(" \t") != text.rstrip()
    return lines[0], len(lines) > 1 or broken


def without_thoughts(text: str) -> str:
    """A text without what is between tags of thoughts, or behind one that is never closed."""
    for opening, closing in _OTHER_MARKS:
        text = text.replace(opening, "<think>").replace(closing, "</think>")
    if "<|channel|>" in text:
        text = _FINAL_CHANNEL.sub("", text)
        text = _MARKS.sub("", _OTHER_CHANNEL.sub("", text))
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
    return _declines(text) and not _may_decline(source)


def _may_decline(source: str) -> bool:
    begins = [apology.match(source.strip()) for apology, _ in _OTHER_LANGUAGES]
    return any(begins) or bool(_APOLOGY.match(source.strip()) or _DECLINES.search(source))


def _declines(text: str) -> bool:
    if _APOLOGY.match(text) and _DECLINES.search(text):
        return True
    if _SORRY.match(text) and _DECLINES_THAT.search(text):
        return True
    return any(apology.match(text) and no.search(text) for apology, no in _OTHER_LANGUAGES)
