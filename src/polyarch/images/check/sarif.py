"""Findings as SARIF 2.1.0 (OASIS), which code hosts and editors can show."""

from typing import Any

from polyarch.images.check.findings import RULES, Finding, Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def document(report: Report, version: str) -> dict[str, Any]:
    """The SARIF log of one run. `version` is the version of Polyarch."""
    used = sorted({finding.rule for finding in report.findings})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "polyarch check",
                        "version": version,
                        "rules": [{"id": rule, "shortDescription": {"text": RULES[rule].summary}} for rule in used],
                    }
                },
                "results": [_result(report, finding, used.index(finding.rule)) for finding in report.findings],
            }
        ],
    }


def _result(report: Report, finding: Finding, rule: int) -> dict[str, Any]:
    # The path is in an image, not in a checkout. It is relative, because viewers expect a URI without a host.
    from urllib.parse import quote

    where = finding.path.lstrip("/") or report.name
    about = f"{finding.platform}: " if finding.platform else ""
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{about}{finding.path + ': ' if finding.path else ''}{finding.message}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": quote(where.encode("utf-8", "surrogateescape"))}},
                "logicalLocations": [{"fullyQualifiedName": f"{report.name} {finding.platform}".strip()}],
            }
        ],
        "properties": {
            key: value
            for key, value in (
                ("image", report.name),
                ("digest", report.digest),
                ("platform", finding.platform),
                ("layer", finding.layer),
                ("step", finding.step),
            )
            if value
        },
    }
