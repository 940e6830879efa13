"""The one exception for what a user can mend."""


class InputError(ValueError):
    """A file, path or setting is wrong.

    The message is one sentence that names it, its value and the cure; the command line
    tools print that sentence without a traceback.
    """
