"""Papers are found by their person, contests by their plan: whoever deletes one looks whether something is theirs."""

from alembic import op

revision = "registry_0008"
down_revision = "registry_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX person_paper_person ON person_paper (person_id)")
    op.execute("CREATE INDEX plan_contest_plan ON plan_contest (plan_id)")
