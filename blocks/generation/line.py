"""Line: one text that is written at its own pace, some tokens at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor

from blocks.generation.draft import Draft
from blocks.generation.request import Request
from blocks.generation.sampling import Sampler


class Line:
    """One text of a request.

    Attributes:
        row: its number among the prompts.
        draft: it alone, as the rules read it.
        pace: how many tokens are drafted for it: more where all were right, fewer where none was.
        ended: nothing is added to it any more.
    """

    def __init__(self, request: Request, texts: Draft, row: int, most: int):
        self.row, self.draft = row, texts.alone(row)
        self.ended = False
        self.pace, self._most = (most + 1) // 2, most
        self._request, self._stopping = request, copy.copy(request.stopping)

    def take(self, logits: Tensor, drafted: Sequence[int], sampler: Sampler) -> list[int]:
        """What is added by logits [T V] after the newest token and after each that was drafted.

        Each token is found as if there were no assistant, up to the first that is another than the
        drafted one: the logits after that are of another text.
        """
        request, taken = self._request, []
        for n in range(len(drafted) + 1):
            now = logits[n : n + 1]
            request.check(now)
            scores = request.rules(now.float(), self.draft)
            request.rules.check_left(scores)
            column = sampler(scores, (self.row,)).to(request.prompt.given.dtype)  # 1
            self.draft.append(column)
            taken.append(int(column))
            self.ended = self._stopping.after(column) or self.draft.new == self.draft.most
            if self.ended or n == len(drafted) or taken[-1] != drafted[n]:
                break
        return taken

    def tell(self, drafted: int, accepted: int) -> None:
        """Changes the pace by what became of a draft."""
        if drafted and accepted == drafted:
            self.pace = min(self._most, 2 * self.pace)
        elif drafted and accepted == 0:
            self.pace = max(1, self.pace // 2)
