"""The exceptions for what a user can mend."""


class InputError(ValueError):
    """A file, path or setting is wrong.

    The message is one sentence that names it, its value and the cure; the command line
    tools print that sentence without a traceback.
    """


class MissingPackageError(InputError, ImportError):
    """Something needs packages that the light installation leaves out.

    Args:
        what (str): That needs them.
        package (str): That is missing.
    """

    def __init__(self, what: str, package: str) -> None:
        super().__init__(
            f'{what} needs the full set-up, in which {package} is installed; run make '
            "env, or pip install 'mmagic_inik[mmagic]'"
        )
