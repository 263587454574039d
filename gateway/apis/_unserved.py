"""What OpenAI's API has and this gateway has not, by the first part of the path: told apart from a mistyped URL."""

UNSERVED = {
    "admin": "The administration of an organization",
    "assistants": "The Assistants API, which OpenAI has shut down,",
    "audio": "Audio",
    "batch": "The Batch API",
    "batches": "The Batch API",
    "chatkit": "ChatKit",
    "containers": "Containers",
    "edits": "The Edits API, which OpenAI has shut down,",
    "engines": "The Engines API, which OpenAI has replaced by /v1/models,",
    "evals": "Evals",
    "files": "The Files API",
    "fine-tunes": "Fine-tuning",
    "fine_tuning": "Fine-tuning",
    "images": "Image generation",
    "live": "The Realtime API",
    "moderations": "Moderation",
    "organization": "The administration of an organization",
    "projects": "The administration of projects",
    "realtime": "The Realtime API",
    "skills": "Skills",
    "threads": "The Assistants API, which OpenAI has shut down,",
    "uploads": "The Uploads API",
    "vector_stores": "Vector stores",
    "videos": "Video generation",
}
"""A part of it that is served has its routes, and never comes here."""


def unserved(path: str) -> str | None:
    """Why there is nothing at this path; None for one that OpenAI does not have either."""
    _, _, rest = path.partition("/v1/")
    if name := UNSERVED.get(rest.partition("/")[0]):
        return f"{name} is not served by this gateway."
    return None
