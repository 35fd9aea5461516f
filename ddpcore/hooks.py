"""How hooks are called: each implementation by itself, so that a failure has a name and a limit.

A hook that *tells* something calls all its implementations, whatever becomes of some of them. A
hook that *asks* takes the first answer, and one that *lets in* needs nobody to object: there a
failure is passed on to who asked, with the plugin's name, and nothing goes ahead.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import pluggy

from ddpcore.errors import DDPError, MeteorError

__all__ = ["Hears", "Implementation", "PluginManager", "named", "plugin_name"]

logger = logging.getLogger(__name__)

TRACE = "DDPCORE_TRACE_HOOKS"
"""Variable of the environment: with any value but ``0`` every call of a hook is written to standard
error. What clients may want to keep secret is left out."""

# What a trace shows no more of than that it is there: it may hold what a client keeps secret.
SECRET = frozenset(
    {"params", "options", "code", "attempt", "call", "event", "user", "problem", "url"}
)

# A plugin that asks a task how it went may raise the cancellation of that one: in a function that
# awaits nothing it is a failure like any other.
FAILURES = (Exception, asyncio.CancelledError)


class Implementation(NamedTuple):
    """One plugin's function for a hook.

    Attributes:
        plugin: The plugin's name.
        hook: The hook's.
        function: What is called.
        arguments: Those of the hook's arguments that it takes.
    """

    plugin: str
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.hook} of the plugin {self.plugin!r}"

    def __call__(self, what: Mapping[str, Any]) -> Any:
        """Call it with its share of the hook's arguments."""
        return self.function(*[what[name] for name in self.arguments])

    def traced(self, what: Mapping[str, Any]) -> Any:
        """The same, and tell of it."""
        shown = ", ".join(
            f"{name}={'…' if name in SECRET else repr(what[name])}" for name in self.arguments
        )
        call = f"{self.plugin}: {self.hook}({shown})"
        try:
            value = self(what)
        except BaseException as problem:
            print(f"{call} raised {type(problem).__name__}", file=sys.stderr, flush=True)  # noqa: T201
            raise
        print(f"{call} -> {type(value).__name__}", file=sys.stderr, flush=True)  # noqa: T201
        return value


@dataclass(slots=True)
class Hears:
    """Which of the hooks on busy ways anybody listens to: to look is all they cost otherwise.

    Attributes:
        HOOKS: Their names, without "ddpcore_"; each is an attribute.
        methods: Whether anybody wants to hear of methods.
        subscriptions: Whether anybody wants to hear of subscriptions.
    """

    HOOKS: ClassVar[tuple[str, ...]]
    admit: bool = False
    around_method: bool = False
    around_publication: bool = False
    bus_event: bool = False
    client_caught_up: bool = False
    client_slowed: bool = False
    error: bool = False
    fence_passed: bool = False
    frames_sent: bool = False
    message: bool = False
    method_ended: bool = False
    method_started: bool = False
    observer_asked: bool = False
    observer_started: bool = False
    observer_stopped: bool = False
    subscription_ended: bool = False
    subscription_ready: bool = False
    subscription_started: bool = False
    methods: bool = False
    subscriptions: bool = False

    def look(self, plugins: PluginManager) -> None:
        """See who listens."""
        for name in self.HOOKS:
            setattr(self, name, bool(plugins.implementations(f"ddpcore_{name}")))
        self.methods = self.method_started or self.method_ended
        self.subscriptions = (
            self.subscription_started or self.subscription_ready or self.subscription_ended
        )


Hears.HOOKS = tuple(
    each.name for each in fields(Hears) if each.name not in ("methods", "subscriptions")
)


class PluginManager(pluggy.PluginManager):
    """The plugins of a server, or of the command line; `ddpcore.plugins.plugin_manager` makes one.

    It calls hooks as `ddpcore.hookspecs` describes their kinds, also those that a plugin has
    specified itself (`add_hookspecs`, of pluggy).
    """

    def __init__(self) -> None:
        super().__init__("ddpcore")
        self.hears = Hears()  # which hooks anybody listens to
        self._found: dict[str, tuple[Implementation, ...]] = {}
        self._call = (
            Implementation.traced if os.environ.get(TRACE, "0") != "0" else Implementation.__call__
        )

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Add a plugin.

        Args:
            plugin: A module or an object with implementations of hooks.
            name: What to call it; None: what it is called itself.

        Returns:
            Its name, or None if it is disabled.

        Raises:
            ddpcore.DDPError: It wraps a hook.
            ValueError: It, or one of this name, is here already.
        """
        for attribute in dir(plugin):
            options = self.parse_hookimpl_opts(plugin, attribute)
            if options and (options.get("wrapper") or options.get("hookwrapper")):
                raise DDPError(
                    f"The plugin {plugin_name(plugin)!r} wraps {attribute}, but hooks of ddpcore "
                    "are called one by one. Use ddpcore_around_method or "
                    "ddpcore_around_publication, or implement the hook itself."
                )
        registered = super().register(plugin, name)
        self._changed()
        return registered

    def unregister(self, plugin: Any = None, name: str | None = None) -> Any:
        """Remove a plugin.

        Args:
            plugin: The plugin.
            name: Its name, in place of itself.

        Returns:
            The plugin.
        """
        removed = super().unregister(plugin, name)
        self._changed()
        return removed

    def _changed(self) -> None:
        self._found.clear()
        self.hears.look(self)

    def implementations(self, hook: str) -> tuple[Implementation, ...]:
        """The implementations of a hook in the order in which they are called."""
        found = self._found.get(hook)
        if found is None:
            caller: pluggy.HookCaller | None = getattr(self.hook, hook, None)
            found = self._found[hook] = tuple(
                Implementation(
                    self.shown(each.plugin_name, each.plugin), hook, each.function, each.argnames
                )
                for each in reversed(caller.get_hookimpls() if caller is not None else ())
            )
        return found

    @staticmethod
    def shown(name: str, plugin: object) -> str:
        """What to call a registered plugin."""
        return plugin_name(plugin) if name == str(id(plugin)) else name

    def names(self, hook: str | None = None) -> list[str]:
        """The names of the plugins, or of those that implement `hook`, in order of registration."""
        if hook is not None:
            return [each.plugin for each in reversed(self.implementations(hook))]
        return [self.shown(name, plugin) for name, plugin in self.list_name_plugin() if plugin]

    def tell(
        self,
        hook: str,
        spawn: Callable[[Coroutine[Any, Any, Any]], object] | None = None,
        **what: Any,
    ) -> None:
        """Tell all; failures are logged.

        Args:
            hook: Its name.
            spawn: Runs what `async def` implementations return. None: here nobody can, and they
                are told so in the log.
            **what: The hook's arguments.
        """
        for each in self.implementations(hook):
            try:
                value = self._call(each, what)
            except FAILURES:
                logger.exception("Exception in %s", each)
                continue
            if not inspect.iscoroutine(value):
                continue
            if spawn is None:
                value.close()
                logger.error("%s is not awaited here: write it with def, not async def", each)
            else:
                spawn(_logged(each, value))

    def ask(self, hook: str, expected: type | None = None, /, **what: Any) -> Any:
        """The first answer that is not None.

        Args:
            hook: Its name.
            expected: What an answer has to be; None: anything.
            **what: The hook's arguments.

        Raises:
            ddpcore.DDPError: A plugin has failed, or says so.
        """
        for each in self.implementations(hook):
            with named(each):
                value = _fitting(self._call(each, what), expected or object)
            if value is not None:
                return value
        return None

    def call_all(self, hook: str, **what: Any) -> None:
        """Call all. What a plugin raises is raised, with a note of its name, and ends it.

        Args:
            hook: Its name.
            **what: The hook's arguments.

        Raises:
            ddpcore.DDPError: An implementation is a coroutine function, and nobody awaits it here.
        """
        for value in self.answers(hook, **what):
            if inspect.isawaitable(value):
                _forget(value)
                raise DDPError(f"{hook} is not awaited: write it with def, not async def.")

    async def await_all(self, hook: str, **what: Any) -> None:
        """Call all, and await what is to be awaited, one after the other.

        Raises:
            ddpcore.DDPError: A plugin has failed, or says so.
        """
        for each in self.implementations(hook):
            with named(each):
                value = self._call(each, what)
                if inspect.isawaitable(value):
                    await value

    def allows(self, hook: str, **what: Any) -> bool:
        """Whether all of them answer True, and nothing else; a failure is logged, and means no.

        Raises:
            ddpcore.MeteorError: One of them has raised it.
        """
        allowed = True
        for each in self.implementations(hook):
            try:
                value = self._call(each, what)
            except MeteorError:
                raise
            except FAILURES:
                logger.exception("Exception in %s, which means no", each)
                return False
            if inspect.iscoroutine(value):
                value.close()
                logger.error("%s is not awaited here: write it with def, not async def", each)
            allowed = allowed and value is True
        return allowed

    def answers(self, hook: str, expected: type | None = None, /, **what: Any) -> Iterator[Any]:
        """All answers, one by one; what a plugin raises is raised, with a note of its name.

        Args:
            hook: Its name.
            expected: What an answer has to be, unless it is None; None: whoever asks looks at it.
            **what: The hook's arguments.
        """
        for each in self.implementations(hook):
            try:
                value = self._call(each, what)
                if expected is not None:
                    _fitting(value, expected)
            except Exception as problem:
                problem.add_note(f"In {each}.")
                raise
            yield value

    async def enter_all(self, stack: AsyncExitStack, hook: str, **what: Any) -> None:
        """Enter what all of them give, those that give None left out.

        Args:
            stack: What leaves it again.
            hook: Its name.
            **what: The hook's arguments.

        Raises:
            ddpcore.DDPError: A plugin has failed, or says so.
        """
        for each in self.implementations(hook):
            with named(each):
                manager = self._call(each, what)
                if inspect.isawaitable(manager):
                    _forget(manager)
                    raise TypeError("it is not awaited: mark it @asynccontextmanager")
                if manager is not None:
                    await stack.enter_async_context(manager)

    def attempts(self, hook: str, **what: Any) -> Iterator[tuple[str, Any]]:
        """Each plugin's name and its answer, or the exception that it raised in place of one."""
        for each in self.implementations(hook):
            try:
                value = _fitting(self._call(each, what), object)
            except FAILURES as problem:
                yield each.plugin, problem
            else:
                yield each.plugin, value


@contextmanager
def named(implementation: Implementation) -> Iterator[None]:
    """Give a failure within the name of the plugin. What is meant for people stays as it is."""
    try:
        yield
    except (DDPError, MeteorError):
        raise
    except Exception as problem:
        if hasattr(problem, "sanitized_error"):
            raise
        raise DDPError(f"{implementation} failed: {type(problem).__name__}: {problem}") from problem


async def _logged(implementation: Implementation, value: Coroutine[Any, Any, Any]) -> None:
    try:
        await value
    except Exception:
        logger.exception("Exception in %s", implementation)


def _fitting(answer: Any, expected: type) -> Any:
    if inspect.isawaitable(answer):
        _forget(answer)
        raise TypeError("the answer is not awaited here: write it with def")
    if answer is not None and not isinstance(answer, expected):
        raise TypeError(f"{answer!r} is no {expected.__name__}")
    return answer


def _forget(value: Any) -> None:
    if inspect.iscoroutine(value):
        value.close()  # else Python complains that it was never awaited


def plugin_name(plugin: object) -> str:
    """What to call a plugin that was registered without a name."""
    name = getattr(plugin, "__name__", None)
    return name if isinstance(name, str) else type(plugin).__name__
