"""`mailapp deliver`: a message from standard input into a mailbox, answered as sysexits.h has it.

What mail servers read out of the status: 65 and 67 are final, the sender is told; after 75 they try
again. So whatever is wrong with this service and not with the message is 75: no mail is lost by it.
"""

from __future__ import annotations

import logging
import os
from typing import BinaryIO

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from mailapp import create_app
from mailapp.delivery.reading import NotMail
from mailapp.delivery.services import NobodyHere, deliver_to
from mailapp.errors import Unavailable
from mailapp.quota import QuotaReached
from mailapp.settings import Settings, SettingsError


def run(address: str, stream: BinaryIO) -> tuple[int, str]:
    """Deliver: the exit status and, unless it is 0, one sentence for who reads the server's log."""
    # A mail server puts all that is said into its log, and into the mail to the sender.
    logging.disable(logging.CRITICAL)
    try:
        app = create_app(Settings.from_env())
        with app.app_context():
            deliver_to(address, stream)
    except NotMail as error:
        return os.EX_DATAERR, f"This can't be read as mail. {error}"
    except NobodyHere as error:
        return os.EX_NOUSER, str(error)
    except SettingsError as error:
        return os.EX_TEMPFAIL, _line(f"The service is not set up: {error}")
    except QuotaReached:
        return os.EX_TEMPFAIL, f"The mailbox of {address} is full; try again later."
    except (Unavailable, SQLAlchemyError, RedisError) as error:
        cause = getattr(error, "orig", None) or error
        return os.EX_TEMPFAIL, _line(f"The service is away; try again later: {cause}")
    except Exception as error:
        return os.EX_TEMPFAIL, _line(f"It could not be stored; try again later: {error!r}")
    return os.EX_OK, ""


def _line(text: str) -> str:
    return " ".join(text.split())
