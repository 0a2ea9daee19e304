"""Text that comes from somebody else, made safe for whatever it is written into.

A study's title, a class name, a file name, a device or a package version may hold anything. On a
page it is text and nothing else: no markup, shortcode, script, link or formula.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from typing import Literal

Output = Literal["markdown", "html", "typst", "csv"]

# Pandoc takes a backslash before any ASCII punctuation as that character. The apostrophe marks up
# nothing, and without a backslash it becomes a typographic one.
_PUNCTUATION = re.compile(r"([!-&(-/:-@\[-`{-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
# What a spreadsheet takes for a formula, unless it is a number.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d*\.?\d*(e[+-]?\d+)?$)")


def safe(text: object, into: Output = "markdown") -> str:
    """Return text that reads the same in the output and is nothing but text there.

    ``html`` fits elements, attributes and SVG; ``typst`` is a string in its quotes. Quarto expands
    shortcodes in any of these, so none has two braces in a row. A number in ``csv`` is left alone.
    """
    plain = _CONTROL.sub("", str(text))
    if into == "csv":
        return f"'{plain}" if _FORMULA.match(plain) else plain
    if into == "typst":
        quoted = json.dumps(plain, ensure_ascii=False)
        return quoted.replace("{", "\\u{7b}").replace("<", "\\u{3c}")
    # A line break would begin a new block, a space at either end would be lost with it.
    line = " ".join(plain.split())
    if into == "markdown":
        return _PUNCTUATION.sub(r"\\\1", line)
    return html.escape(line).replace("{", "&#123;").replace("}", "&#125;")


def identifier(text: str) -> str:
    """Return text as part of an identifier and of a file's name; other text has another one."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def script(content: object) -> str:
    """Return JSON content, such as a chart, that may stand in a script element of any page."""
    within = re.sub(
        r'"(?:[^"\\]|\\.)*"',
        lambda found: found[0].replace("{", "\\u007b").replace("}", "\\u007d"),
        json.dumps(content),
    )
    # Objects in objects may have a space between their braces.
    return within.replace("{{", "{ {").replace("<", "\\u003c")
