"""The API's journal endpoints: feedback on a response, and a response's record."""

import time
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from blended.errors import ApiError
from blended.journal.identity import Identity
from blended.journal.journal import Journal
from blended.journal.store import JournalUnavailable
from blended.router import cache_salt, feedback, requests
from blended.router.access.gate import KEY, Access
from blended.router.access.keys import Key
from blended.router.blend import Blend
from blended.router.body import read
from blended.router.errors import json_response

State = Callable[[], tuple[Blend, Access]]


class JournalRoutes:
    """Feedback on a client's responses and their records, with the key that got them."""

    def __init__(self, state: State, journal: Callable[[], Journal | None]) -> None:
        self._state, self._find_journal = state, journal

    async def feedback(self, request: Request) -> Response:
        """Keep a feedback; the answer says whether it is in the database or queued."""
        blend, _access = self._state()
        journal, key = self._journal(), _key(request)
        payload = requests.parse(await read(request, blend.config.api.max_body_bytes))
        given = feedback.check(payload, partial(_began, journal.identity, key), time.time())
        feedback.refuse_unkept(given, journal.retention_s, journal.keep_content)
        status, document = feedback.outcome(given, await journal.give(given))
        return json_response(document, status)

    async def record(self, request: Request) -> Response:
        """The record of a response, once it has arrived in the database."""
        blend, _access = self._state()
        journal, key, name = self._journal(), _key(request), request.path_params["response"]
        began = feedback.known(name, partial(_began, journal.identity, key))
        try:
            found = await journal.find(name, began)
        except JournalUnavailable as exc:
            message = "The journal's database does not answer; try again later."
            raise ApiError(503, message, "journal_unavailable") from exc
        if found is None:
            message = (
                f"The record of response '{name}' has not arrived in the journal yet, or is no "
                "longer kept; try again in some seconds."
            )
            raise ApiError(404, message, "record_not_found")
        api, answering = blend.config.api, blend.upstreams.get(found.record.component or "")
        is_own_cache = cache_salt.is_own(answering, api, key.name)
        return json_response(feedback.document(found, api.reveal_component, is_own_cache))

    def _journal(self) -> Journal:
        journal = self._find_journal()
        if journal is None:
            raise ApiError(404, "This deployment keeps no journal.", "no_journal")
        return journal


def _key(request: Request) -> Key:
    key: Key = request.scope[KEY]
    return key


def _began(identity: Identity, key: Key, response_id: str) -> float | None:
    return identity.started_at(response_id, key.name)
