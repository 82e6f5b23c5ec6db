"""Who is an operator, and the instances that are alive where there is no Redis to say so."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "instances",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        # Written every second, and worth nothing after a crash: none of it goes into the log.
        prefixes=["UNLOGGED"] if on_postgresql else [],
    )
    if on_postgresql:
        # The table is changed in a moment whatever its size, because a constant default is not
        # written into its rows. But that moment waits for everybody who is using the table, and all
        # who come later wait behind: rather give up, for another try, than hold up the mail for the
        # length of somebody's backup.
        op.execute("SET LOCAL lock_timeout = '1s'")
    op.add_column(
        "accounts",
        sa.Column("is_admin", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("instances")
    with op.batch_alter_table("accounts") as accounts:
        accounts.drop_column("is_admin")
