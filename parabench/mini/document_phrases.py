"""Phrases that the pre-training documents are made of: cues, questions, greetings, titles.

``{a}`` and ``{b}`` are two sentences, ``{x}`` and ``{y}`` two first names; placeholders of a
question are those of frames.toml.
"""

CUES = (
    "{a} In other words: {b}",
    "{a} That is to say: {b}",
    "{a} Put differently: {b}",
    "{a} To say it another way: {b}",
    "{a} This means the following. {b}",
    "{x} says: {a} {y} says the same thing: {b}",
    "{x}: {a}\n{y}: You mean this: {b}\n{x}: Yes, that is what I mean.",
    "{x}: {a}\n{y}: What did you say?\n{x}: I said this: {b}",
    "Morning News: {a}\nEvening Post: {b}",
    "Two newspapers report the same event.\nThe first writes: {a}\nThe second writes: {b}",
    "The teacher wrote two sentences with the same meaning on the board.\n1. {a}\n2. {b}",
    "Version A: {a}\nVersion B: {b}",
    "First draft: {a}\nSecond draft: {b}",
    '"{a}" can also be said like this: "{b}"',
    "{x} told us: {a} Later {x} repeated it in new words: {b}",
    "These two sentences mean the same: {a} {b}",
)
QUESTIONS = {
    "action": (
        ("Who {verb.singular} {object}?", "{agent}"),
        ("What did {agent} do?", "{agent} {verb>agent} {object}"),
        ("What happened to {object}?", "{object} {be>object} {verb.participle} by {agent}"),
    ),
    "placed": (
        ("Who {verb.singular} {object}?", "{agent}"),
        ("Where did {agent} {verb.base} {object}?", "{place}"),
        ("What did {agent} {verb.base} {place}?", "{object}"),
    ),
    "transfer": (
        ("Who {verb.singular} {object} to {recipient}?", "{agent}"),
        ("What did {agent} {verb.base} to {recipient}?", "{object}"),
        ("To whom did {agent} {verb.base} {object}?", "to {recipient}"),
    ),
    "delivery": (
        ("Who {verb.singular} {object} to {recipient}?", "{agent}"),
        ("What did {agent} {verb.base} to {recipient}?", "{object}"),
    ),
    "reason": (("Why did {agent} {verb.base} {object}?", "because {situation}"),),
    "purpose": (
        ("Where did {agent} go?", "to {place.bare}"),
        ("Why did {agent} go there?", "to {verb.base} {object}"),
    ),
    "spending": (("For how long?", "for {duration}"), ("Where was this?", "{place}")),
    "price": (("How much did {agent} pay?", "{money}"), ("What did {agent} buy?", "{object}")),
    "trend": (("By how much?", "by {percent}"), ("Where was this?", "in {place.bare}")),
    "mutual": (("Where was this?", "{place}"), ("Who was there?", "{agent} and {partner}")),
}
DEFINITIONS = (
    "{A} {b} is the same as {a} {c}.",
    "The word {b} means {c}.",
    "Another word for {c} is {b}.",
    "What is {a2} {b}? {A} {b} is {a} {c}.",
)
LIST_TITLES = (
    "To buy",
    "For the new house",
    "On the table",
    "What we need",
    "Lost and found",
    "In the box",
)
LISTED = ("fruit", "furniture", "clothing", "gift", "animal", "instrument", "dish", "person")
OPENINGS = ("Dear {x},\n", "Hello {x},\n", "My dear {x},\n")
CLOSINGS = ("\nYours, {y}", "\nBest wishes, {y}", "\nSee you soon, {y}")
LINKS = (
    "",
    "",
    "Then this happened. ",
    "That was not all. ",
    "And there is more. ",
    "Later we heard this. ",
)
REPLIES = (
    "Really? I did not know that.",
    "I see.",
    "How interesting!",
    "Are you sure?",
    "I heard that too.",
    "Thank you.",
)
GREETINGS = ("Good morning, {y}.", "Hello, {y}.", "Have you heard the news, {y}?", "Listen, {y}.")
