"""The user that reads and writes profiles, where the database takes IAM tokens and users are ours to make.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html#UsingWithRDS.IAMDBAuth.DBAccounts.PostgreSQL
"""

from psycopg import sql

from functions.shared.db.postgres import Connection

_GRANTS = (
    "GRANT USAGE ON SCHEMA avatars TO {}",
    "GRANT SELECT, INSERT, UPDATE ON avatars.users TO {}",
)


def allow(connection: Connection, name: str) -> None:
    """Make the user if it is missing, and give it what it needs. Done again it changes nothing."""
    with connection.transaction():
        if not _is_there(connection, name):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        if _is_there(connection, "rds_iam"):  # RDS's own, of those who sign in with tokens
            connection.execute(sql.SQL("GRANT rds_iam TO {}").format(sql.Identifier(name)))
        for grant in _GRANTS:
            connection.execute(sql.SQL(grant).format(sql.Identifier(name)))


def _is_there(connection: Connection, role: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None
