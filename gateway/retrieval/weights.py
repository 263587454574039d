"""How a search mixes meaning and words. Apart from `search`, which loads numpy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """score = (dense * cosine + lexical * bm25 / max(bm25)) / (dense + lexical), clipped to 0..1.

    Either may be 0, which turns that half off; not both. The defaults are the measured best.
    """

    dense: float = 1.0
    lexical: float = 0.3

    def __post_init__(self) -> None:
        if min(self.dense, self.lexical) < 0 or self.dense + self.lexical <= 0:
            raise ValueError("weights must not be negative, and not both 0")
