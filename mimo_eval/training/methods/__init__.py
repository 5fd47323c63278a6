"""Training methods, one module each, by name with options: `mimo(lambda=0.35)`, `xlco(warmup=true)`."""

from __future__ import annotations

from typing import Any

from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.registry import Registry
from mimo_eval.specs import check_arguments, parse_spec, python_names
from mimo_eval.training.stage import Method

METHODS: Registry[Any] = Registry(
    "training method",
    "mimo_eval.trainers",
    {
        "distill": "mimo_eval.training.methods.distill:Distill",
        "hu2023": "mimo_eval.training.methods.hu2023:Hu2023",
        "hybrid": "mimo_eval.training.methods.hybrid:Hybrid",
        "infonce": "mimo_eval.training.methods.infonce:InfoNce",
        "jsd-nce": "mimo_eval.training.methods.jsd_nce:JsdNce",
        "lakda": "mimo_eval.training.methods.lakda:LaKda",
        "maml-align": "mimo_eval.training.methods.maml_align:MamlAlign",
        "mimo": "mimo_eval.training.methods.mimo:Mimo",
        "xlco": "mimo_eval.training.methods.xlco:Xlco",
    },
)


def load_method(text: str) -> Method:
    """Return a training method.

    :param text: a name with options, such as `mimo(lambda=0.35, balance=gradient)`; an option whose name Python keeps for
        itself is the constructor's argument with an underscore after it.
    :return: the method.
    :raises ConfigError: if the name or an option is unknown, or a value is not fit.
    """
    spec = parse_spec(text)
    kind = METHODS.get(spec.name)
    if spec.args:
        raise ConfigError(f"'{text}': options of a training method are given by name, as in {spec.name}(warmup=true)")
    check_arguments(spec.name, kind, (), spec.kwargs)
    try:
        method = kind(**python_names(kind, spec.kwargs))
    except MimoEvalError:
        raise
    except Exception as error:
        raise ConfigError(f"'{text}' cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(method, Method):
        raise ConfigError(f"'{spec.name}' is not a training method: it lacks name, stages(material) or describe()")
    return method
