"""user_bio"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE avatars.users ADD COLUMN bio text NOT NULL DEFAULT '' CHECK (char_length(bio) <= 500)")


def downgrade() -> None:
    op.execute("ALTER TABLE avatars.users DROP COLUMN bio")
