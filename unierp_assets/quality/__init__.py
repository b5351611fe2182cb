"""The gate: only rows that meet the expectations of their entity's suite may be loaded.

``rules.py`` reads the suites of ``expectations/``, ``validation.py`` runs Great Expectations, ``gate.py`` decides and
writes, ``report.py`` is what comes out. Importing this package does not import Great Expectations.
"""

from unierp_assets.quality.gate import due_gates, gate_report, run_gate
from unierp_assets.quality.report import Example, GateReport, RuleResult, check_metadata
from unierp_assets.quality.rules import GATE_ORDER, Outcome, RuleSpec, Severity, SuiteError, suite_rules
from unierp_assets.quality.validation import GateError, preload

__all__ = [
    "GATE_ORDER",
    "Example",
    "GateError",
    "GateReport",
    "Outcome",
    "RuleResult",
    "RuleSpec",
    "Severity",
    "SuiteError",
    "check_metadata",
    "due_gates",
    "gate_report",
    "preload",
    "run_gate",
    "suite_rules",
]
