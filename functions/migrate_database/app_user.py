"""The database user of the `profile` function, for databases with IAM authentication.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html#UsingWithRDS.IAMDBAuth.DBAccounts.PostgreSQL
"""

from psycopg import sql

from functions.shared.db.postgres import Connection

_GRANTS = (
    "GRANT USAGE ON SCHEMA avatars TO {}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON avatars.users TO {}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON avatars.retired_handles TO {}",
)


def ensure(connection: Connection, name: str) -> None:
    """Create the user if it does not exist, and grant its privileges. Idempotent."""
    with connection.transaction():
        if not _has_role(connection, name):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        if _has_role(connection, "rds_iam"):  # exists on RDS only; its members sign in with IAM tokens
            connection.execute(sql.SQL("GRANT rds_iam TO {}").format(sql.Identifier(name)))
        for grant in _GRANTS:
            connection.execute(sql.SQL(grant).format(sql.Identifier(name)))


def _has_role(connection: Connection, role: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None
