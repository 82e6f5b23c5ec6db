"""Where the page of writing asks whom somebody means."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, make_response, request

from mailapp.accounts import auth
from mailapp.contacts import services

bp = Blueprint("contacts", __name__)


@bp.get("/contacts")
def contacts() -> Response:
    """{"people": [{"name", "address", "text"}, …]} for the beginning `q` of a name or address.

    `text` is what stands in the field then.
    """
    frame = auth.signed_in()
    found = services.suggest(frame.account.id, request.args.get("q", ""))
    people = [{"name": one.name, "address": one.spec, "text": str(one)} for one in found]
    return make_response(jsonify(people=people))
