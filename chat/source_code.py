"""What the code that shapes a result is: a digest that an edit changes, and words about the code do not.

A stored result is reused only under the code that made it. The code of a stage is its module and all modules
of this package that it imports, directly or not, with the data files that these name in a constant. A module
that only carries results says so by `SHAPES_RESULTS = False`; it is left out, with what it alone imports.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = __name__.partition(".")[0]
MARKER = "SHAPES_RESULTS"
BESIDE = "Path(__file__)"
IS_FOR_TYPES = "TYPE_CHECKING"


class SourceMissing(RuntimeError):
    """The source of a module is not here. What is stored is kept under a digest of it, so TRIA cannot run
    from compiled files alone."""


def source_of(name: str) -> str:
    """Return a module's source; raise SourceMissing."""
    spec = find_spec(name)
    file = Path(spec.origin) if spec and spec.origin else None
    if file is None or file.suffix != ".py" or not file.is_file():
        raise SourceMissing(f"The source of {name} is not here: install TRIA with its .py files")
    return file.read_text(encoding="utf-8")


class SourceCode:
    """The modules of this package, read once each. `read` returns a module's source by its name."""

    def __init__(self, read: Callable[[str], str] = source_of) -> None:
        self._read = read
        self._modules: dict[str, _Module] = {}

    def digest(self, *roots: ModuleType, alone: tuple[ModuleType, ...] = (), length: int = 8) -> str:
        """Return `length` bytes in hex that stand for the roots and all they import, and for the modules in
        `alone` without what they import. Raises SourceMissing."""
        names = sorted({*self.modules(*roots), *(module.__name__ for module in alone)})
        found = blake2b(digest_size=length)
        for name in names:
            # A module that moves to another package is the same code.
            module = self._module(name)
            found.update(module.canonical)
            for file in module.data_files:
                found.update(file.read_bytes())
        return found.hexdigest()

    def modules(self, *roots: ModuleType) -> set[str]:
        """Return the names of the roots, and of all modules that shape results and that they import."""
        names: set[str] = set()
        waiting = [root.__name__ for root in roots]
        while waiting:
            name = waiting.pop()
            if name in names:
                continue
            names.add(name)
            waiting += [one for one in self._module(name).imports if self._module(one).shapes_results]
        return names

    def _module(self, name: str) -> "_Module":
        if name not in self._modules:
            self._modules[name] = _Module(name, self._read(name))
        return self._modules[name]


SOURCE = SourceCode()
"""The code as it is on the disk, which is what this process runs unless it was edited since."""


def code_of(thing: Callable[..., object]) -> str:
    """Return 8 hex digits that stand for the code of one class or function."""
    source = textwrap.dedent(inspect.getsource(thing))
    return blake2b(canonical(source), digest_size=4).hexdigest()


def canonical(source: str) -> bytes:
    """Return the code as Python compiles it, without comments, docstrings, assertions and layout. Another
    version of Python compiles it otherwise, and so makes results anew."""
    return repr(_without_places(compile(source, "", "exec", dont_inherit=True, optimize=2))).encode()


def _without_places(constant: object) -> object:
    """Return a constant, or compiled code with all that it does and not where it stands."""
    match constant:
        case CodeType() as code:
            return (
                code.co_name,
                code.co_code,
                code.co_exceptiontable,
                (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
                (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
                [_without_places(one) for one in code.co_consts],
            )
        case frozenset():  # in another order in each process
            return sorted(map(repr, constant))
        case _:
            return (type(constant).__name__, constant)


class _Module:
    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source
        self._tree = ast.parse(source)

    @cached_property
    def canonical(self) -> bytes:
        return canonical(self._source)

    @cached_property
    def data_files(self) -> list[Path]:
        """The files beside the code that its constants name."""
        if BESIDE not in self._source:
            return []  # it need not be imported to see
        values = vars(import_module(self._name)).values()
        return sorted({value for value in values if isinstance(value, Path) and value.is_file()})

    @cached_property
    def shapes_results(self) -> bool:
        assigned = [node.targets for node in self._tree.body if isinstance(node, ast.Assign)]
        names = {target.id for targets in assigned for target in targets if isinstance(target, ast.Name)}
        return MARKER not in names

    @cached_property
    def imports(self) -> list[str]:
        """The modules of this package that it imports, those inside functions too."""
        return [name for name in dict.fromkeys(_imported(self._tree)) if name != self._name]


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules of ours that the statements inside import. Expressions import nothing."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        statements = getattr(node, name, [])
        for child in statements if isinstance(statements, list) else []:
            match child:
                case ast.If(test=ast.Name(id=test)) if test == IS_FOR_TYPES:
                    continue
                case ast.Import(names=aliases):
                    candidates = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str(module), names=aliases, level=0):
                    candidates = [module, *(f"{module}.{alias.name}" for alias in aliases)]
                case _:
                    yield from _imported(child)
                    continue
            yield from (candidate for candidate in candidates if _is_module_of_ours(candidate))


@cache
def _is_module_of_ours(name: str) -> bool:
    if name.partition(".")[0] != PACKAGE:
        return False
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # a name in a module, which is no package
        return False
    return spec is not None and spec.submodule_search_locations is None
