"""How far changes were told, which processes are alive, which devices are connected.

What is on record of changes by now happened before anybody could be told: telling begins behind it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "publications",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="publications_pk"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO publications (name, position) SELECT 'notifications', coalesce(max(position), 0) FROM audit"
    )
    op.create_table(
        "processes",
        sa.Column("process_id", sa.Text, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("process_id", name="processes_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "presence",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("process_id", sa.Text),
        sa.Column("adapter", sa.Text),
        sa.Column("since", sa.BigInteger),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name="presence_pk"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "device_id"],
            ["devices.tenant_id", "devices.device_id"],
            name="presence_device",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
