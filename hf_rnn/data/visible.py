"""Show text that comes from data or from files of others: what steers a terminal or turns the order of letters round is spelt out."""

import re

# control characters, separators of lines, marks of direction that reach over what follows, halves of pairs of UTF-16
STEERING = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return a text in one line in which a character that is not to be seen stands as Python spells it, such as `\x1b`."""
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_json(line: str) -> str:
    r"""Return JSON that says the same, with such characters as JSON spells them, such as `\u009b`."""
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
