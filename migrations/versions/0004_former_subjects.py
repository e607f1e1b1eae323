"""former_subjects"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Without a reference to the users: it stays when the profile is deleted.
    op.execute("ALTER TABLE avatars.retired_handles ADD former_subject text")
    op.execute("UPDATE avatars.retired_handles SET former_subject = subject")
    op.execute("CREATE INDEX ON avatars.retired_handles (former_subject)")


def downgrade() -> None:
    op.execute("ALTER TABLE avatars.retired_handles DROP former_subject")
