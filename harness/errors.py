"""Errors a user can cause; each message names the place and the remedy.

HarnessError
├── SuiteError        a suite file that cannot be read as one
├── PacketError       a packet file that cannot be read as one
├── CohortError       studies that cannot be read, or must not be judged
├── CandidateError    a candidate that cannot be loaded
├── EngineError       a cluster that cannot be reached or used, or whose workers are all gone
├── TrainingError     a training configuration that cannot be used, or a training that went wrong
├── GenerationError   a report that a model could not write
├── ServiceError      a service that cannot start, or an image that it does not get
├── PluginError       a plugin that is not there, or does not load
├── LedgerError       a run folder that is damaged, or of something else
├── RegistryError     a model registry that does not hold what was asked for
│   ├── RegistryConflict      somebody else has moved the alias, or is moving it
│   └── RegistryUnreachable   it does not answer
└── NotEvaluable      a question that this material cannot answer
"""

from __future__ import annotations


class HarnessError(Exception):
    """Something the user can put right. The command line prints it without a traceback.

    `exit_code` is what the command line ends with: 2 for bad input, 3 where the honest answer is
    NOT EVALUATED.
    """

    exit_code = 2


class SuiteError(HarnessError):
    """A suite that cannot be used. `problems`: every one found, `file:line:column: key: what`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PacketError(HarnessError):
    """A packet file that cannot be used. `problems`: every one, `file:line:column: key: what`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class CohortError(HarnessError):
    """Studies that cannot be read, or that must not be judged as they are."""


class CandidateError(HarnessError):
    """A candidate that cannot be loaded (one that fails on a study is a scored row, not this)."""


class EngineError(HarnessError):
    """A cluster that cannot be reached or used, or whose workers are all gone; what is written stands."""

    exit_code = 3


class TrainingError(HarnessError):
    """A training configuration that cannot be used, or a training that went wrong or was changed."""


class GenerationError(HarnessError):
    """A report that a model could not write: its study is a failed, scored row; the run goes on."""


class ServiceError(HarnessError):
    """A service that cannot start as it was asked to, or an image that it does not get."""


class PluginError(HarnessError):
    """A candidate, cohort, annotator or measure that is not installed or does not load."""


class LedgerError(HarnessError):
    """A run folder that is damaged, incomplete, or holds another suite's run."""

    exit_code = 3


class RegistryError(HarnessError):
    """A model registry that does not hold what was asked for, or refuses to do it."""


class RegistryConflict(RegistryError):  # noqa: N818 - it is an answer, not a defect
    """An alias that is not where the caller believed it to be, or that somebody is moving right now."""

    exit_code = 3


class RegistryUnreachable(RegistryError):  # noqa: N818 - it is a state, not a defect
    """A registry that does not answer; the same command goes on when it does."""

    exit_code = 3


class NotEvaluable(HarnessError):  # noqa: N818 - it is an answer, not a defect
    """A question this material cannot answer; the verdict reads NOT EVALUATED."""

    exit_code = 3
