"""The API dialects. Each is two translations: wire body -> Turn, Event stream -> wire.

Adding one: a file or folder here, a line in DIALECTS.
"""

from collections.abc import Callable

from starlette.routing import BaseRoute

from gateway.agents.catalog import Catalog
from gateway.apis import approvals, completions, conversations, embeddings, models
from gateway.apis.chat import routes as chat
from gateway.apis.responses import routes as responses
from gateway.runs import Runs
from gateway.storage import Store

DIALECTS: dict[str, Callable[[Runs, Catalog, Store], list[BaseRoute]]] = {
    "chat": chat.routes,
    "responses": responses.routes,
    "conversations": conversations.routes,
    "completions": completions.routes,
    "embeddings": embeddings.routes,
    "models": models.routes,
    "approvals": approvals.routes,
}
