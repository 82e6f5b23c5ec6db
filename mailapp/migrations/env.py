"""What Alembic runs to migrate: on the connection it is given, in the transaction it is given."""

from alembic import context

import mailapp.accounts.models
import mailapp.attachments.models
import mailapp.cluster.models
import mailapp.compose.models
import mailapp.contacts.models
import mailapp.limits
import mailapp.mail.models
import mailapp.mailbox.models
import mailapp.search.models
import mailapp.sessions  # noqa: F401  # each import adds its tables to Base.metadata
from mailapp.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite can't alter most things in place
)
context.run_migrations()
