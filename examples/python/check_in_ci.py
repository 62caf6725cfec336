"""Check every platform of an image, as a CI job does: the exit status says whether it is good."""

import sys

from polyarch import Polyarch

with Polyarch() as client:
    report = client.images.check("registry.example.org/team/app:1")

for finding in report.findings:
    print(f"{finding.severity}: {finding.platform} {finding.path}: {finding.message} [{finding.rule}]")
print(f"{report.name}: {report.count('error')} errors, {report.count('warning')} warnings")
sys.exit(0 if report.is_good() else 1)
