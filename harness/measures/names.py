"""Measures by a short name, such as `bleu4.coco.raw`: the measure, then words of its options."""

from __future__ import annotations

import difflib
from typing import Any, Literal, get_args, get_origin, get_type_hints

from harness.errors import PluginError
from harness.measures.base import Measure
from harness.plugins import load


def named_measure(name: str) -> Measure:
    """The measure of a name, such as `bleu4`, `bleu4.coco.raw`, `rougeL.google`, `findings_f1.negative`.

    The first word is an installed measure. Each further word is the value of the option that can
    take it: of the options with a fixed set of words (a `Literal`), in any order.

    Raises:
        PluginError: no such measure, a word that no option takes, or words that do not go together.
    """
    first, *words = name.split(".")
    cls = load("measures", first)
    choices = _choices(cls)
    options: dict[str, str] = {}
    for word in words:
        option = next((key for key, allowed in choices.items() if word in allowed), None)
        if option is None:
            known = [each for allowed in choices.values() for each in allowed]
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"{first} knows {', '.join(known) or 'none'}"
            raise PluginError(f"{name}: {word}: no such option; {hint}")
        if option in options:
            raise PluginError(f"{name}: {option} cannot be both {options[option]} and {word}")
        options[option] = word
    try:
        measure: Measure = cls(**options)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{name}: {error}") from None
    return measure


def _choices(cls: Any) -> dict[str, tuple[str, ...]]:
    """Option -> the words that it can take."""
    hints = get_type_hints(cls.__init__)
    return {key: words for key, hint in hints.items() if (words := _words(hint))}


def _words(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return tuple(word for word in get_args(hint) if isinstance(word, str))
    return tuple(word for part in get_args(hint) for word in _words(part))  # Tokens | None
