"""Errors for the user: one line, shown without a traceback, exit code 2."""

MAX_CHARACTERS = 1500
"""Of a message; of a longer one the beginning and the end are kept."""


class CdbVideoError(Exception):
    """Base of every error that is a message to the user, not a defect of the program.

    The message is always one line.
    """

    def __init__(self, message: str = "") -> None:
        line = " ".join(str(message).splitlines())
        if len(line) > MAX_CHARACTERS:
            half = MAX_CHARACTERS // 2
            line = f"{line[:half]} ... {line[-half:]}"
        super().__init__(line)


class ConfigError(CdbVideoError):
    """A wrong key, type, choice or range in a YAML file or on the command line."""


class DataError(CdbVideoError):
    """A missing folder or clip, an unreadable annotation line, a label out of range."""


class DecodeError(CdbVideoError):
    """A video that cannot be decoded; the message begins with its path."""


class CheckpointError(CdbVideoError):
    """A checkpoint or weight file that is missing, unreadable or does not fit."""


class TrainingError(CdbVideoError):
    """Training cannot go on, for example because the loss is not finite."""


class Stopped(CdbVideoError):
    """A run was asked to stop, and has saved itself.

    Args:
        message: where the run is.
        number: of the signal. The exit code is 128 plus this number, as in a shell.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + int(number)
