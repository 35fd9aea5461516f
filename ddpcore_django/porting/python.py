"""One Python source: imports, uses and settings of django-ddp become those of ddpcore."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from ddpcore_django.porting.bindings import Binding, Bindings, Use
from ddpcore_django.porting.edits import Source
from ddpcore_django.porting.names import (
    APPS,
    DROPPED,
    MINUTES,
    MODULES,
    MOVED,
    THIS,
    Advice,
    Moved,
    advice_for,
    canonical,
)

__all__ = ["Finding", "port"]

_LONGEST = 100
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


class Finding(NamedTuple):
    """Something that a person has to look at."""

    line: int
    """Where it is, from 1; and where it is when the file has been rewritten."""
    line_after: int
    what: str
    advice: Advice


def port(text: str) -> tuple[str, list[Finding]]:
    """Rewrite a source.

    Args:
        text: The source; everything in it that is not rewritten stays as it is.

    Returns:
        The source as it should be, the same object if nothing is to be done, and what is left to
        a person.

    Raises:
        SyntaxError: It is no Python 3.
    """
    if not re.search(r"dddp|ddpcore_django|django[-_]ddp|DDP_|AID_MIGRATE_STEP", text):
        return text, []
    porter = _Porter(Source(text))
    porter.run()
    findings = sorted(set(porter.findings))
    if not porter.source.edited:
        return text, findings
    try:
        result = porter.source.result()
        ast.parse(result)
    except (SyntaxError, ValueError):
        return text, [*findings, Finding(1, 1, "this file", _TOO_HARD)]
    lines_after = porter.source.lines_after()
    return result, [each._replace(line_after=lines_after(each.line)) for each in findings]


class _Porter:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.names = Bindings(source)
        self.findings: list[Finding] = []
        # What is to be imported in the place of a name; a module has no name.
        self._targets: dict[ast.alias, list[Moved]] = {}
        self._dropped: list[ast.stmt] = []

    def run(self) -> None:
        for binding in self.names.all.values():
            theirs = [each for each in binding.imports if each.module.partition(".")[0] == "dddp"]
            if binding.ambiguous:
                for each in theirs:
                    self._find(each.alias, each.module, _AMBIGUOUS)
            elif theirs:
                self._binding(binding)
        for star in self.names.stars:
            if str(star.module).partition(".")[0] == "dddp":
                self._find(star, f"from {star.module} import *", _STAR)
        for node in ast.walk(self.source.tree):
            self._node(node)
        self._settings()
        self._rewrite_imports()
        if self._dropped:
            self.source.remove(self._dropped)

    # --- names ------------------------------------------------------------------------------------

    def _binding(self, binding: Binding) -> None:
        # All uses of a binding go their way together, or none does.
        calls = [use for use in binding.uses if use.name == DROPPED]
        dropping = self._statements(calls)
        others = [use for use in binding.uses if use not in calls]
        if dropping is None:
            self._stays(binding, calls)
        elif binding.stands_for == DROPPED:
            self._drop(binding, dropping)
        elif binding.stands_for in MODULES:
            self._module(binding, others, dropping)
        else:
            self._name(binding)

    def _statements(self, uses: list[Use]) -> list[ast.stmt] | None:
        """Those that are nothing but calls of these; None if any is something else."""
        found: list[ast.stmt] = []
        for use in uses:
            call = self.source.parents[use.node]
            statement = self.source.parents.get(call)
            if (
                not isinstance(call, ast.Call)
                or call.func is not use.node
                or call.args
                or call.keywords
                or not isinstance(statement, ast.Expr)
            ):
                return None
            found.append(statement)
        return found

    def _drop(self, binding: Binding, statements: list[ast.stmt]) -> None:
        for each in binding.imports:
            self._targets[each.alias] = []
        self._dropped += statements

    def _name(self, binding: Binding) -> None:
        moved = MOVED.get(binding.stands_for)
        if moved is None or (moved.name == "random_id" and self._calls_with_names(binding.uses)):
            self._stays(binding, [])
            return
        for each in binding.imports:
            self._targets[each.alias] = [moved]

    def _module(self, binding: Binding, uses: list[Use], dropping: list[ast.stmt]) -> None:
        moved = {id(use): self._moved(use) for use in uses}
        stays = [use for use in uses if moved[id(use)] is None]
        if stays:
            self._stays(binding, stays)
            return
        plain = all(
            isinstance(each.node, ast.Import) and not each.alias.asname for each in binding.imports
        )
        if plain:
            self._plain_module(binding, uses, dropping)
        else:
            self._module_by_a_name(binding, uses, dropping)

    def _plain_module(self, binding: Binding, uses: list[Use], dropping: list[ast.stmt]) -> None:
        # `import dddp.api`, used as `dddp.api.API`: both are written anew.
        needed = set() if uses or dropping else {"ddpcore_django"}
        for use in uses:
            name, moved = self._prefix(use)
            part = self._part(use, name)
            self.source.replace(self.source.start(part), self.source.end(part), str(moved))
            needed.add(moved.module)
        self._dropped += dropping
        for each in binding.imports:
            self._targets[each.alias] = [Moved(module, "") for module in sorted(needed)]

    def _module_by_a_name(
        self, binding: Binding, uses: list[Use], dropping: list[ast.stmt]
    ) -> None:
        module = MODULES[binding.stands_for]
        outside = [use for use in uses if self._prefix(use)[1].module != "ddpcore_django"]
        if outside or (module is None and (uses or not dropping)):
            self._stays(binding, outside)
            return
        for use in uses:
            name, moved = self._prefix(use)
            part = self._part(use, name)
            if isinstance(part, ast.Attribute) and part.attr != moved.name:
                end = self.source.end(part)
                self.source.replace(end - len(part.attr.encode()), end, moved.name)
        self._dropped += dropping
        for each in binding.imports:
            self._targets[each.alias] = (
                [Moved(module, "")] if module and (uses or not dropping) else []
            )

    def _moved(self, use: Use) -> Moved | None:
        if not isinstance(getattr(use.node, "ctx", None), ast.Load):
            return None
        try:
            _, moved = self._prefix(use)
        except LookupError:
            return None
        if moved.name == "random_id" and self._calls_with_names([use]):
            return None
        return moved

    def _prefix(self, use: Use) -> tuple[str, Moved]:
        name = use.name
        while name:
            if name in MOVED:
                return name, MOVED[name]
            name = name.rpartition(".")[0]
        raise LookupError(use.name)

    @staticmethod
    def _part(use: Use, name: str) -> ast.expr:
        """The part of an attribute of an attribute of … that a shorter name stands for."""
        node = use.node
        for _ in range(use.name.count(".") - name.count(".")):
            assert isinstance(node, ast.Attribute)
            node = node.value
        return node

    def _calls_with_names(self, uses: list[Use]) -> bool:
        calls = [(self.source.parents[use.node], use.node) for use in uses]
        return any(
            isinstance(call, ast.Call) and call.func is node and bool(call.args or call.keywords)
            for call, node in calls
        )

    def _stays(self, binding: Binding, uses: list[Use]) -> None:
        for use in uses:
            self._find(use.node, use.name, advice_for(use.name))
        for each in binding.imports:
            if not uses:
                self._find(each.alias, binding.stands_for, advice_for(binding.stands_for))

    # --- imports ----------------------------------------------------------------------------------

    def _rewrite_imports(self) -> None:
        seen: set[str] = set()
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Import | ast.ImportFrom) and any(
                each in self._targets for each in node.names
            ):
                self._rewrite_import(node, seen)

    def _rewrite_import(self, node: ast.Import | ast.ImportFrom, seen: set[str]) -> None:
        new: list[str] = []
        groups: dict[str, list[str]] = {}
        # What stays comes first, so that it stays where it was.
        for alias in sorted(node.names, key=lambda each: each in self._targets):
            if alias not in self._targets:
                if isinstance(node, ast.ImportFrom):
                    groups.setdefault(str(node.module), []).append(self.source.text_of(alias))
                else:
                    new.append(f"import {self.source.text_of(alias)}")
            for target in self._targets.get(alias, []):
                if target.name:
                    local = alias.asname or alias.name
                    named = target.name if target.name == local else f"{target.name} as {local}"
                    groups.setdefault(target.module, []).append(named)
                elif isinstance(node, ast.ImportFrom) or alias.asname:
                    new.append(self._import_of_a_module(target.module, alias))
                else:
                    new.append(f"import {target.module}")
        if isinstance(self.source.parents[node], ast.Module):  # elsewhere it may not be run
            new = [each for each in dict.fromkeys(new) if each not in seen]
            seen.update(new)
        if len(groups) == 1 and not new and isinstance(node, ast.ImportFrom):
            ((module, names),) = groups.items()
            if len(names) == len(node.names) and self._edit_in_place(node, module, names):
                return
        self._write_anew(node, new, groups)

    @staticmethod
    def _import_of_a_module(module: str, alias: ast.alias) -> str:
        package, _, last = module.rpartition(".")
        local = alias.asname or alias.name.rpartition(".")[2]
        if not package:
            return f"import {module}" if module == local else f"import {module} as {local}"
        return f"from {package} import {last}" + ("" if last == local else f" as {local}")

    def _edit_in_place(self, node: ast.ImportFrom, module: str, names: list[str]) -> bool:
        # So that comments and line breaks between the names stay.
        start = self.source.start(node)
        text = self.source.text_of(node)
        found = re.match(r"from[ \t]+(" + re.escape(str(node.module)) + r")\b(?!\s*\.)", text)
        if found is None:
            return False
        self._change(start + found.start(1), start + found.end(1), module)
        for alias, name in zip(node.names, names, strict=True):
            self._change(self.source.start(alias), self.source.end(alias), name)
        return True

    def _change(self, start: int, end: int, text: str) -> None:
        if self.source.of(start, end) != text:
            self.source.replace(start, end, text)

    def _write_anew(
        self, node: ast.Import | ast.ImportFrom, new: list[str], groups: dict[str, list[str]]
    ) -> None:
        alone = self.source.is_alone(node)
        newline = self.source.newline() + self._indent(node)
        statements = new + [
            _from_import(module, list(dict.fromkeys(names)), newline if alone else "")
            for module, names in groups.items()
        ]
        if not statements:
            self._dropped.append(node)
            return
        assert node.end_lineno is not None
        comments = [
            text
            for line, text in sorted(self.source.comments.items())
            if node.lineno <= line < node.end_lineno
        ]
        text = newline.join(comments + statements) if alone else "; ".join(statements)
        if not alone and comments:
            self._find(node, "comments in an import", _COMMENTS)
            return
        self._change(self.source.start(node), self.source.end(node), text)

    def _indent(self, node: ast.stmt) -> str:
        line = self.source.line(node)
        return self.source.of(line[0], self.source.start(node)) if line else ""

    # --- everything else --------------------------------------------------------------------------

    def _node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._string(node, node.value)

    def _call(self, node: ast.Call) -> None:
        name = self.names.name_of(node.func)
        if name is None:
            return
        if name in {"dddp.models.AleaIdField", "dddp.api.AleaIdField"}:
            self._id_field(node)
        elif canonical(name) == "dddp.MeteorError" and any(
            each.arg not in {"error", "reason", "details"} for each in node.keywords
        ):
            self._find(node, "MeteorError with further arguments", _ERROR)

    def _id_field(self, node: ast.Call) -> None:
        # It was an ordinary column unless told otherwise, and is a primary key now.
        keywords = {each.arg for each in node.keywords}
        if "primary_key" in keywords:
            return
        if None in keywords or node.args:
            self._find(node, "AleaIdField(…)", _ID_FIELD)
            return
        after = self.source.end(node.func)
        text = self.source.of(after, self.source.end(node))
        found = re.match(r"\s*\(", text)
        if found is None:
            self._find(node, "AleaIdField(…)", _ID_FIELD)
            return
        place = after + len(found[0].encode())
        rest = text[found.end() :]
        comma = "" if not node.keywords else "," if rest[:1] in "\r\n" else ", "
        self.source.replace(place, place, f"primary_key=False{comma}")

    def _class(self, node: ast.ClassDef) -> None:
        bases = {canonical(name) for base in node.bases if (name := self.names.name_of(base))}
        old = any(str(self.names.name_of(base)).startswith("dddp.") for base in node.bases)
        functions = {each.name: each for each in node.body if isinstance(each, _FUNCTION)}
        assigned = {
            target.id
            for each in node.body
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name)
        }
        if "dddp.api.Collection" in bases:
            for name, advice in _OF_COLLECTIONS.items():
                if name in functions:
                    self._find(functions[name], f"{node.name}.{name}", advice)
            if "serialize" in functions:
                arguments = functions["serialize"].args
                if old or len(arguments.args) - len(arguments.defaults) > 2:
                    self._find(functions["serialize"], f"{node.name}.serialize", _SERIALIZE)
            if old and "objects_for_user" in functions:
                self._find(functions["objects_for_user"], f"{node.name}.objects_for_user", _USERS)
            if old and "user_rel" in assigned and "always_allow_superusers" not in assigned:
                self._find(node, f"{node.name}.user_rel", _SUPERUSERS)
        if "dddp.api.Publication" in bases and "user_queries" in functions:
            self._find(functions["user_queries"], f"{node.name}.user_queries", _USER_QUERIES)

    def _attribute(self, node: ast.Attribute) -> None:
        name = self.names.name_of(node.value)
        if name is None or canonical(name) != "dddp.this":
            return
        if node.attr in THIS:
            self._find(node, f"this.{node.attr}", THIS[node.attr])
        elif node.attr == "user" and self._asks_for_truth(node):
            self._find(node, "this.user", _ANONYMOUS)
        elif node.attr == "user_id" and self._compares_with_a_number(node):
            self._find(node, "this.user_id", _TEXT)

    def _asks_for_truth(self, node: ast.expr) -> bool:
        parent = self.source.parents[node]
        if isinstance(parent, ast.Compare):
            others = [parent.left, *parent.comparators]
            return any(isinstance(each, ast.Constant) and each.value is None for each in others)
        if isinstance(parent, ast.If | ast.IfExp | ast.While | ast.Assert):
            return parent.test is node
        return isinstance(parent, ast.BoolOp) or (
            isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
        )

    def _compares_with_a_number(self, node: ast.expr) -> bool:
        parent = self.source.parents[node]
        if not isinstance(parent, ast.Compare) or any(
            isinstance(each, ast.Is | ast.IsNot) for each in parent.ops
        ):
            return False
        others = [each for each in [parent.left, *parent.comparators] if each is not node]
        return not all(
            isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "str"
            for each in others
        )

    def _settings(self) -> None:
        body = self.source.tree.body
        found = [
            (each, each.targets[0])
            for each in body
            if isinstance(each, ast.Assign)
            and isinstance(each.targets[0], ast.Name)
            and each.targets[0].id in MINUTES
        ]
        # Others may have settings of accounts, or need this one: a person knows.
        unclear = any(
            isinstance(each, ast.ImportFrom) and each.names[0].name == "*" for each in body
        )
        targets = {target for _, target in found}
        unclear |= any(
            isinstance(each, ast.Name)
            and each.id in {"DDPCORE_ACCOUNTS", *MINUTES}
            and each not in targets
            for each in ast.walk(self.source.tree)
        )
        for number, (node, target) in enumerate(found):
            assert isinstance(target, ast.Name)
            key = MINUTES[target.id]
            if unclear or len(node.targets) > 1:
                unclear = True  # those that follow, too
                self._find(node, target.id, Advice(f"{_DAYS} {key}", "settings"))
                continue
            value = self.source.text_of(node.value)
            if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, int)):
                value = f"int({value})"
            days = f"{value} / (24 * 60)"
            new = f'["{key}"] = {days}' if number else f' = {{"{key}": {days}}}'
            start, end = self.source.start(target), self.source.end(node)
            self.source.replace(start, end, f"DDPCORE_ACCOUNTS{new}")

    def _string(self, node: ast.Constant, value: str) -> None:
        if re.match(r"django[-_]ddp\b", value):
            self._find(node, value, _REQUIREMENT)
        elif value == "AID_MIGRATE_STEP":
            self._find(node, value, advice_for("dddp.models.AleaIdMixin"))
        elif not re.fullmatch(r"dddp(\.\w+)*", value):
            return
        elif self._is_dependency(node):
            self._dependency(node)
        elif value in APPS and self._is_app(node) and self._is_one_token(node, value):
            if any(
                isinstance(each, ast.Constant) and each.value == APPS[value]
                for each in ast.walk(self.source.tree)
            ):
                self._find(node, value, _TWICE)
                return
            text = self.source.text_of(node)
            start = self.source.start(node) + text.index(value)
            self.source.replace(start, start + len(value), APPS[value])
            if value == "dddp.accounts":
                self._find(node, value, _PASSWORDS)
        else:
            self._find(node, repr(value), advice_for(value))

    def _is_one_token(self, node: ast.Constant, value: str) -> bool:
        text = self.source.text_of(node)
        return re.fullmatch(r"[uU]?(['\"])" + re.escape(value) + r"\1", text) is not None

    def _is_app(self, node: ast.AST) -> bool:
        if not isinstance(self.source.parents[node], ast.List | ast.Tuple | ast.Set | ast.Call):
            return False
        return any(_names_apps(each) for each in self._around(node))

    def _around(self, node: ast.AST) -> Iterator[ast.AST]:
        while (parent := self.source.parents.get(node)) is not None:
            yield parent
            if isinstance(parent, ast.stmt):
                return
            node = parent

    def _is_dependency(self, node: ast.Constant) -> bool:
        pair = self.source.parents[node]
        return (
            isinstance(pair, ast.Tuple)
            and len(pair.elts) == 2
            and pair.elts[0] is node
            and isinstance(self.source.parents[pair], ast.List | ast.Tuple)
            and any(
                isinstance(each, ast.Assign)
                and isinstance(each.targets[0], ast.Name)
                and each.targets[0].id in {"dependencies", "run_before"}
                for each in self._around(node)
            )
        )

    def _dependency(self, node: ast.Constant) -> None:
        # The tables of django-ddp stay, but nobody migrates them any more.
        pair = self.source.parents[node]
        assert isinstance(pair, ast.Tuple)
        start, end = self.source.start(pair), self.source.end(pair)
        found = re.match(r"[ \t]*,[ \t]*", self.source.of(end))
        before = re.search(r"(?:\r\n|\r|\n)[ \t]*\Z", self.source.of(0, start))
        of = self.source.parents[pair]
        if found is None and (isinstance(of, ast.Tuple) or len(getattr(of, "elts", ())) > 1):
            self._find(node, "dddp", _DEPENDENCY)
            return
        end += len(found[0]) if found else 0
        if before and re.match(r"\r\n|\r|\n", self.source.of(end)):
            start -= len(before[0])
        self.source.replace(start, end, "")

    def _find(self, node: ast.expr | ast.stmt | ast.alias, what: str, advice: Advice) -> None:
        self.findings.append(Finding(node.lineno, node.lineno, what, advice))


def _from_import(module: str, names: list[str], newline: str) -> str:
    line = f"from {module} import {', '.join(names)}"
    if not newline or len(line) + len(newline) <= _LONGEST:
        return line
    inner = newline + "    "
    return f"from {module} import ({inner}{f',{inner}'.join(names)},{newline})"


def _names_apps(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(each, ast.Name) and each.id.endswith("APPS") for each in targets)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of = node.func.value
        return isinstance(of, ast.Name) and of.id.endswith("APPS")
    return False


_STAR = Advice("import the names that are used, and run this again", "the-tool")
_AMBIGUOUS = Advice(
    "the name is something else as well in this file: give one of them another name, and run this "
    "again",
    "the-tool",
)
_ANONYMOUS = Advice(
    "nobody is an AnonymousUser, which is true: ask this.user.is_authenticated", "this"
)
_TEXT = Advice("it is text: compare it with str(obj.owner_id)", "this")
_TOO_HARD = Advice("it is written in a way that this does not understand: edit it", "the-tool")
_COMMENTS = Advice("put the import on a line of its own, and run this again", "the-tool")
_ERROR = Advice("it takes error, reason and details: put the rest into details", "dddp")
_ID_FIELD = Advice("it is a primary key unless told primary_key=False", "ids-of-documents")
_SERIALIZE = Advice(
    "take obj alone, and return the fields themselves, not a dictionary with 'fields'",
    "serialize",
)
_SUPERUSERS = Advice(
    "superusers were sent changes of all rows; here only with always_allow_superusers = True",
    "what-differs",
)
_USERS = Advice(
    "user is a user, never a key or None: of nobody an AnonymousUser, which no query takes",
    "dddpapi",
)
_USER_QUERIES = Advice("override get_queries; this.user is who subscribes", "dddpapi")
_PASSWORDS = Advice("set PASSWORD_HASHERS and DDPCORE_ACCOUNTS, and migrate", "step-by-step")
_TWICE = Advice("its successor is named in this file already: remove it", "step-by-step")
_REQUIREMENT = Advice("require ddpcore[django]", "step-by-step")
_DEPENDENCY = Advice("remove this dependency", "ids-of-documents")
_DAYS = "it counts days now, in DDPCORE_ACCOUNTS:"
_OF_COLLECTIONS = {
    "user_ids_for_object": Advice("override objects_for_user: it decides alone", "dddpapi"),
    "obj_change_as_msg": Advice("messages are the server's: override serialize", "dddpapi"),
    "field_schema": Advice("override schema", "dddpapi"),
}
