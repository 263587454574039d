"""What can go wrong between a tool call and a tracker, in words that tell the model what to do next.

Not here: what a message says about a given HTTP status (`tracker`), and the redaction of secrets (`tracker`).
"""


class TicketingError(Exception):
    """The tool call failed. Its text is what the model reads; it never holds a credential."""


class SettingsError(ValueError):
    """The server cannot start: a setting or a preset is wrong. Its text is for the person who runs it."""


class Refused(TicketingError):
    """The tracker answered that it did not do it, or was never reached: nothing was changed by this request.

    `status` is the HTTP status, 0 where no answer came; `reason` is the tracker's own words, cut short;
    `doubtful`: an earlier try of the same request got no answer, so that one may have been carried out.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", doubtful: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.doubtful = doubtful


class OutcomeUnknown(TicketingError):
    """A request that changes something may or may not have been carried out: it must not simply be repeated."""
