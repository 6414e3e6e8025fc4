"""What docs/policy.md says of the policies is all of them, and nothing else."""

import re
from pathlib import Path


def test_the_table_of_policies_names_each_of_them_once(root: Path) -> None:
    written = (root / "kit/src/doorstep/kit/policies/doorstep.cedar").read_text()
    policies = re.findall(r'^@id\("([a-z-]+)"\)$', written, flags=re.MULTILINE)
    rows = [row for row in (root / "docs/policy.md").read_text().splitlines() if row.startswith("|")]
    named = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row.rsplit("|", 2)[1])]
    assert sorted(named) == sorted(policies)
    assert len(policies) == len(set(policies)) > 30
