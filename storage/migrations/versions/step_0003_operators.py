"""Operators and their API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operators",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("operator_id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("tenants", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger),
        sa.Column("version", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="operators_pk"),
    )
    op.create_table(
        "operator_keys",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("operator_name", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest_hex", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("last_used", sa.BigInteger),
        sa.PrimaryKeyConstraint("key_id", name="operator_keys_pk"),
        sa.UniqueConstraint("digest_hex", name="operator_keys_digest_unique"),
        sa.ForeignKeyConstraint(
            ["operator_name"], ["operators.name"], name="operator_keys_operator", ondelete="CASCADE"
        ),
    )
    op.create_index("operator_keys_by_operator", "operator_keys", ["operator_name"])
