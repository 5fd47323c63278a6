"""What runs a transformer: torch, or ONNX Runtime or OpenVINO through optimum, as sentence-transformers offers them."""

from __future__ import annotations

from importlib import import_module

from mimo_eval.errors import MissingExtraError

BACKENDS = ("torch", "onnx", "openvino")
PACKAGES = {"torch": (), "onnx": ("optimum-onnx", "onnxruntime"), "openvino": ("optimum-intel", "openvino")}
"""What a backend needs beside sentence-transformers; their versions stand in fingerprints, as vectors may differ with them."""
CLASSES = {
    "onnx": ("optimum.onnxruntime", "ORTModelForFeatureExtraction"),
    "openvino": ("optimum.intel.openvino", "OVModelForFeatureExtraction"),
}
"""What sentence-transformers imports for a backend; optimum imports its parts when they are asked for."""
INSTALL = {
    "onnx": "pip install 'sentence-transformers[onnx]' (optimum-onnx up to 0.1.0 needs transformers 4, which does not go with "
    "sentence-transformers 6; --backend openvino does)",
    "openvino": "pip install 'mimo-eval[openvino]'",
}


def check_backend(model: str, backend: str) -> None:
    """Refuse a backend whose packages are missing, or do not go with those installed.

    :param model: the model, as typed.
    :param backend: one of BACKENDS.
    :raises MissingExtraError: with the install line.
    """
    if backend == "torch":
        return
    module, name = CLASSES[backend]
    try:
        getattr(import_module(module), name)
    except Exception as error:  # of any kind: what does not go together fails in many ways
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingExtraError(
            f"{model}: --backend {backend} cannot be used ({why}); install it with: {INSTALL[backend]}"
        ) from error
