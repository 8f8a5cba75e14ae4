"""Networks of an ``architecture.py`` from somebody else: the one place that runs such code.

Only where the person has said that it is trusted, and without leaving a trace
beside it: the source is compiled in memory, so that the folder it lies in is
the same before and after.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from saliency_audit.errors import ModelError, ParameterError


def trusted_network(path: Path, trusted: bool) -> nn.Module:
    """Build a network by RUNNING the Python file of an XAIMed task folder.

    The file defines one ``torch.nn.Module`` class that needs no arguments, or several and a
    function ``build()`` that returns the network. Nothing is written beside it, and nothing beside
    it is imported. Raises ParameterError unless ``trusted``, ModelError where the file gives no
    network, or imports what is not installed or lies beside it.
    """
    if not trusted:
        raise ParameterError(f"{path.name} is code: it runs only with i_trust_this_code: true")
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"the architecture {path} is missing: put the file there") from None
    try:
        module = _module(path, source)
        network = _factory(module, path)()
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(_of_import(path, error)) from error
    except Exception as error:  # code from elsewhere may raise anything
        raise ModelError(f"{path} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{path}: build() gives no torch.nn.Module: let it return the network")
    return network


def _module(path: Path, source: bytes) -> ModuleType:
    """Run the source as a module of its own; the same source is the same module's name."""
    digest = hashlib.sha256(source).hexdigest()[:16]
    module = ModuleType(f"trusted_architecture_{digest}")
    module.__file__ = str(path)
    # Dataclasses and TorchScript look for the module of a class by its name.
    sys.modules[module.__name__] = module
    before = set(sys.modules)
    try:
        with _nothing_written():
            exec(compile(source, str(path), "exec"), module.__dict__)
        _refuse_neighbours(path, set(sys.modules) - before)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


@contextmanager
def _nothing_written() -> Iterator[None]:
    """Keep Python from writing compiled modules for as long as the code imports."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _refuse_neighbours(path: Path, imported: set[str]) -> None:
    """Raise ModelError where the code, by a path of its own, has imported a file beside it."""
    folder = path.resolve().parent
    for name in sorted(imported):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).resolve().is_relative_to(folder):
            del sys.modules[name]
            raise ModelError(_beside(path, name))


def _of_import(path: Path, error: ImportError) -> str:
    name = (error.name or "").partition(".")[0]
    beside = (path.parent / f"{name}.py").is_file() or (
        path.parent / name / "__init__.py"
    ).is_file()
    if "relative import" in str(error) or (name and beside):
        return _beside(path, name or "another file")
    if isinstance(error, ModuleNotFoundError) and name:
        return f"{path} imports {name}, which is not installed: install it in this environment"
    return f"{path} failed: {type(error).__name__}: {error}"


def _beside(path: Path, name: str) -> str:
    return (
        f"{path} imports {name}, which lies beside it: the audit keeps this one file with its "
        f"results; put the code of {name} into {path.name}"
    )


def _factory(module: ModuleType, path: Path) -> Callable[[], Any]:
    build_function: Callable[[], Any] | None = getattr(module, "build", None)
    if build_function is not None:
        return build_function
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise ModelError(
            f"{path} defines {len(own)} networks: define one class, or a function build() "
            "that returns the network"
        )
    return own[0]
