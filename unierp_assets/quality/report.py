"""What the gate reports: how an entity's rows stand, and which rules are not met, with examples.

Belongs here: plain values and their form for Dagster's checks. Does not belong here: Dagster itself, and how the
values come about (``gate.py``).
"""

from dataclasses import dataclass
from typing import Any, Final

from unierp_assets.quality.rules import Outcome, RuleSpec, Severity

EXAMPLES: Final = 5
"""How many rows a rule's result shows."""
_HIDDEN: Final = "(personal)"


@dataclass(frozen=True, slots=True)
class Example:
    """A row that does not meet a rule: its key and the value at fault, as text."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How a rule stands: ``unexpected_count`` rows of the entity do not meet it now; a few ``examples`` of them."""

    spec: RuleSpec
    unexpected_count: int
    examples: tuple[Example, ...] = ()

    @property
    def rule(self) -> str:
        """Name of the rule."""
        return self.spec.name

    @property
    def expectation(self) -> str:
        """Type of its expectation."""
        return self.spec.expectation

    @property
    def column(self) -> str | None:
        """Column it looks at; None where it looks at the row as a whole."""
        return self.spec.column

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.spec.severity

    @property
    def outcome(self) -> Outcome:
        """What becomes of the rows."""
        return self.spec.outcome

    @property
    def passed(self) -> bool:
        """Whether every row meets it."""
        return not self.unexpected_count


@dataclass(frozen=True, slots=True)
class GateReport:
    """How an entity stands after the gate.

    ``validated`` counts the rows this run had to look at; all others tell how many rows there are of each kind now,
    whenever they were validated: a row that stays in quarantine is counted in every report until it leaves.
    ``warned`` rows are among the accepted ones. ``rules`` has every rule of the suite, in its order.
    """

    entity: str
    validated: int
    accepted: int
    quarantined: int
    merged: int
    warned: int
    rules: tuple[RuleResult, ...]

    @property
    def unmet(self) -> tuple[RuleResult, ...]:
        """The rules some row does not meet."""
        return tuple(result for result in self.rules if not result.passed)


def check_metadata(report: GateReport) -> dict[str, dict[str, Any]]:
    """The report as plain values for Dagster's asset checks, by rule.

    Each has ``passed`` (bool), ``severity`` (``critical``, ``warning`` or ``info``), ``description`` (sentence) and
    ``metadata``: ``unexpected_count``, ``expectation``, ``column``, ``outcome``, ``remedy`` and ``examples``, a list of
    ``{"key", "value"}``. Personal values are left out: what is shown in Dagster is read by many.
    """
    return {
        result.rule: {
            "passed": result.passed,
            "severity": str(result.severity),
            "description": result.spec.description,
            "metadata": {
                "unexpected_count": result.unexpected_count,
                "expectation": result.expectation,
                "column": result.column or "",
                "outcome": str(result.outcome),
                "remedy": result.spec.remedy,
                "examples": [
                    {"key": example.key, "value": _HIDDEN if result.spec.personal else example.value}
                    for example in result.examples
                ],
            },
        }
        for result in report.rules
    }
