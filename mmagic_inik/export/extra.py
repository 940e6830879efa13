"""Whether the packages of the extras ``export`` and ``openvino`` are there."""

from importlib.util import find_spec

from ..errors import InputError


def require_extra(what: str, *packages: str) -> None:
    """Refuse what needs packages that are not installed.

    Args:
        what (str): That needs them.
        *packages (str): Their names. Default: onnx and onnxruntime.

    Raises:
        InputError: Names the first that is missing, and the cure.
    """
    for package in packages or ('onnx', 'onnxruntime'):
        if find_spec(package) is None:
            extra = 'openvino' if package == 'openvino' else 'export'
            raise InputError(
                f'{what} needs the package {package}; pip install '
                f"'mmagic_inik[{extra}]'"
            )
