"""The APIs for clients beside the API for chats."""

from blended.router.client_apis.client_api import ClientApi
from blended.router.client_apis.messages import fields as messages_fields
from blended.router.client_apis.messages.request import chat as messages_chat
from blended.router.client_apis.messages.translation import MessagesTranslation
from blended.router.client_apis.responses import fields as responses_fields
from blended.router.client_apis.responses.request import chat as responses_chat
from blended.router.client_apis.responses.translation import ResponsesTranslation

RESPONSES = ClientApi("resp", responses_fields.NAMES, responses_chat, ResponsesTranslation)
MESSAGES = ClientApi("msg", messages_fields.NAMES, messages_chat, MessagesTranslation)
