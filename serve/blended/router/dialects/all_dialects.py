"""The dialects that the API has."""

from blended.router.dialects.dialect import Dialect
from blended.router.dialects.messages import fields as messages_fields
from blended.router.dialects.messages.request import chat as messages_chat
from blended.router.dialects.messages.translation import MessagesTranslation
from blended.router.dialects.responses import fields as responses_fields
from blended.router.dialects.responses.request import chat as responses_chat
from blended.router.dialects.responses.translation import ResponsesTranslation

RESPONSES = Dialect("resp", responses_fields.NAMES, responses_chat, ResponsesTranslation)
MESSAGES = Dialect("msg", messages_fields.NAMES, messages_chat, MessagesTranslation)
