"""A failure as it is told to the person at the terminal."""


class Refusal(Exception):
    """What went wrong and what to do, one sentence in Chinese and one in English; no traceback is shown.

    Any command may raise it. `exit_code` is 1 for a failure and 2 for a wrong request (bad argument, port taken).
    """

    def __init__(self, chinese: str, english: str, *, exit_code: int = 1) -> None:
        super().__init__(f"{chinese}\n{english}")
        self.chinese = chinese
        self.english = english
        self.exit_code = exit_code
