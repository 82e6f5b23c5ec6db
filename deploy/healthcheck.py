"""A container's health check: does this instance say that it can serve? (The image has no curl.)"""

import os
import sys
from http.client import HTTPConnection, HTTPException


def main() -> None:
    """Exit with 0 when /healthz answers 200, else with 1 and what it said."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        sys.exit(f"no answer: {error}")
    print(said)
    sys.exit(answer.status != 200)


if __name__ == "__main__":
    main()
