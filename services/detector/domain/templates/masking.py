"""Turns a line into tokens in which everything that is surely a value is a wildcard.

Only the shape of text is looked at: numbers and whatever holds one, addresses, paths, hexadecimal, the value of a
key. What may be a value but looks like a word stays a word here; the miner decides by what it has seen.
"""

from __future__ import annotations

import re

WILD = "<*>"
MAX_CHARACTERS = 4_000
"""Of a line, the first so many are looked at."""
MAX_TOKENS = 120

_VALUES = re.compile(
    r"""
    <\*>                                                                   # a wildcard stays one
  | [a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>)\]},;]+                             # URL
  | (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\ +[A-Z][a-z]{2}\ +\d[\d:]*(?:\ [\d:]+)*(?:\ [A-Z]{2,5})?(?:\ \d{4})?   # date
  | (?<![\w])(?:[0-9a-fA-F]{1,4}:){3,}[0-9a-fA-F:.]+                       # MAC, IPv6, a long identifier
  | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                                           # e-mail address
  | (?<![\w./])~?/[^\s"'<>()\[\]{},;:=]+                                   # path
  | (?<![\w])[A-Za-z]:\\[^\s"'<>|,;]+                                      # path with a drive
  | (?<![\w.-])(?:[\w-]+\.)+(?:com|net|org|edu|gov|io|local|internal|lan)\b(?![.\w(-])  # host name
  | (?<![\w.])(?:[a-z_][\w]*\.){2,}[A-Z][\w$]*(?<!Exception)(?<!Error)\b   # class with its package
  | (?<![\w])[-+]?\d[\d.,_]*\ ?                                             # a number with its unit
    (?:[KMGTkmgt]i?[Bb]|B|bytes|[mun]?s|secs?|seconds?|minutes?|hours?|days?|%)(?![\w/@$\#\\%+*-]|\.\w)
  | (?<![\w])[0-9a-fA-F]{8,}(?![\w])                                       # hexadecimal, even without a digit
  | (?<![\w])[A-Za-z]+\d(?![\w.@/$\#-])                                    # eth0, ssh2: a word, see below
  | [\w.@/$\#\\%+-]*\d[\w.@/$\#\\%+*-]*                                    # whatever holds a digit
    """,
    re.VERBOSE,
)
_WORD_WITH_DIGIT = re.compile(r"[A-Za-z]+\d")
_PAIR = re.compile(
    r"""(?P<key>[A-Za-z_][\w.-]*)"?(?P<sep>=|(?<="):)[ ]?"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|[^\s"=,;()\[\]{}<>]+)(?=[\s,;)\]}>]|$)"""
)
_TEXT_KEYS = frozenset({"msg", "message", "error", "err", "event", "reason", "level", "severity", "exception", "log"})
"""Keys whose value is what the line says."""
_QUOTED = re.compile(r'(?<!\w)"([^"]*)"')
_REQUEST = re.compile(r"[A-Z]{3,7} \S")
_LEADER = re.compile(r"\.{2,}")
_DELIMITER = re.compile(r"([()\[\]{},;=|:])|\"|(?<!\w)'|'(?!\w)")
_RUN = re.compile(r"<\*>(?:[\s,:;/|.+-]*<\*>)+")


def tokens(line: str) -> tuple[str, ...]:
    """Words and wildcards of a line; a run of values is one wildcard, so that lists of any length are alike.

    >>> " ".join(tokens("Connected to 10.0.0.7:5432 in 12 ms as user=alice"))
    'Connected to <*> in <*> as user = <*>'
    >>> tokens("deleting blk_1, blk_2, blk_3") == tokens("deleting blk_4")
    True
    """
    text = line[:MAX_CHARACTERS]
    if "=" in text or '":' in text:
        text = _PAIR.sub(_pair, text)
    if '"' in text:
        text = _QUOTED.sub(_quoted, text)
    if ".." in text:
        text = _LEADER.sub(" ", text)
    text = _VALUES.sub(_value, text)
    text = _DELIMITER.sub(_delimit, text)
    if WILD in text:
        text = _RUN.sub(WILD, text)
    return tuple(text.split()[:MAX_TOKENS])


def _pair(found: re.Match[str]) -> str:
    if found["key"].lower() in _TEXT_KEYS:
        return f"{found['key']}{found['sep']} {found['value'].strip('"')}"
    return f"{found['key']}{found['sep']} {WILD}"


def _quoted(found: re.Match[str]) -> str:
    """A quoted phrase is one token, unless it is a request; with a number in it, it is a value."""
    phrase = found[1]
    if " " not in phrase or _REQUEST.match(phrase):
        return f" {phrase} "
    if any(map(str.isdigit, phrase)):
        return WILD
    return "\N{OPEN BOX}".join(phrase.split())


def _value(found: re.Match[str]) -> str:
    return found[0] if _WORD_WITH_DIGIT.fullmatch(found[0]) else WILD


def _delimit(found: re.Match[str]) -> str:
    return f" {found[1]} " if found[1] else " "
