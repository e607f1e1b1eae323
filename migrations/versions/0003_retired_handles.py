"""retired_handles"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE avatars.retired_handles (
            handle text PRIMARY KEY,
            subject text REFERENCES avatars.users ON DELETE SET NULL,
            retired_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX ON avatars.retired_handles (subject)")
    op.execute("CREATE INDEX ON avatars.retired_handles (retired_at)")


def downgrade() -> None:
    op.execute("DROP TABLE avatars.retired_handles")
