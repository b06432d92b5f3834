"""The lexicon of the `rules` labeler: two YAML files, read and compiled."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from harness.annotators.phrases import PhraseBook, expand
from harness.digests import digest_value
from harness.errors import PluginError
from harness.report import Finding, Laterality, Severity

IGNORE: Final = "ignore"
CUES: Final = (
    "neutral",
    "negation_before",
    "negation_near",
    "negation_after",
    "uncertain_before",
    "nested",
    "uncertain_after",
    "not_stated_before",
    "not_stated_after",
    "alternatives",
    "affirmation_after",
    "terminate",
)
DESCRIPTIONS: Final = ("abnormal", "possible", "normal", "nothing")


class Lexicon:
    """Phrase books of findings, cues, descriptions and attributes.

    Args:
        findings: the values of findings.yaml.
        cues: the values of cues.yaml.

    Raises:
        PluginError: they do not have the form that the files' comments describe.
    """

    def __init__(self, findings: dict[str, Any], cues: dict[str, Any]) -> None:
        self.digest = digest_value([findings, cues])
        try:
            self.names = PhraseBook(
                {
                    IGNORE: findings["ignore"],
                    **{f"mention:{Finding(name)}": part for name, part in findings["mentions"].items()},
                    **{f"possible:{Finding(name)}": part for name, part in findings["possible"].items()},
                    **{
                        f"described {place}:{Finding(part['finding'])}": part["anatomy"]
                        for place, part in enumerate(findings["described"])
                    },
                }
            )
            self.descriptions = {
                f"described {place}": PhraseBook({kind: part.get(kind, ()) for kind in DESCRIPTIONS})
                for place, part in enumerate(findings["described"])
            }
            self.other_anatomy = _words(findings["other_anatomy"])
            self.cues = PhraseBook(
                {**{kind: cues[kind] for kind in CUES}, "explained": findings["explained"]}
            )
            self.fresh = _words(cues["fresh"])
            self.attributes = PhraseBook(
                {
                    **{f"severity:{Severity(name)}": words for name, words in cues["severity"].items()},
                    **{f"laterality:{Laterality(name)}": words for name, words in cues["laterality"].items()},
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PluginError(
                f"harness/annotators/lexicon: not as its comments say: {type(error).__name__}: {error}"
            ) from None


def _words(phrases: list[str]) -> frozenset[str]:
    return frozenset(word for phrase in phrases for words in expand(phrase) for word in words)


@cache
def shipped_lexicon() -> Lexicon:
    """The lexicon that comes with the package.

    Raises:
        PluginError: it was edited into something that cannot be read.
    """
    return Lexicon(_read("findings.yaml"), _read("cues.yaml"))


def _read(name: str) -> dict[str, Any]:
    text = (files("harness.annotators") / "lexicon" / name).read_text(encoding="utf-8")
    try:
        values: dict[str, Any] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PluginError(f"harness/annotators/lexicon/{name}: not valid YAML: {error}") from None
    return values
