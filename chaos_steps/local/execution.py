"""Running a plan: which task may start when, as Tekton decides it.

The rules are those of Tekton Pipelines from 0.69 on (pkg/reconciler/pipelinerun/resources/pipelinerunresolution.go):
`when` is looked at before anything else, and a task that it skips does not skip the tasks that only run after it; a
task that misses a result is skipped, with all that wait for it; after a failure nothing new starts, what runs goes on
to its end, and `finally` follows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chaos_steps import signals
from chaos_steps.errors import BUG, Unavailable
from chaos_steps.local.console import say
from chaos_steps.local.environment import Inputs
from chaos_steps.local.plan import Plan, PlannedTask
from chaos_steps.local.process import Attempt
from chaos_steps.local.variables import references, substitute, task_result

_TICK = 0.02

State = Literal["pending", "running", "Succeeded", "Failed", "skipped"]


@dataclass
class Node:
    """A task as the run goes on."""

    planned: PlannedTask
    state: State = "pending"
    by_when: bool = False
    """It was skipped, and by its own `when`."""
    attempt: Attempt | None = None
    tries: int = 0
    began: float = 0.0
    exit_code: int | None = None
    timed_out: bool = False
    results: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in the Pipeline."""
        return self.planned.name

    @property
    def done(self) -> bool:
        """It will not run any more."""
        return self.state not in ("pending", "running")

    @property
    def fails_run(self) -> bool:
        """It failed, and not in a way that the Pipeline says to ignore."""
        return self.state == "Failed" and self.planned.spec.on_error != "continue"

    @property
    def status(self) -> str:
        """Its value of `$(tasks.NAME.status)`."""
        return self.state if self.state in ("Succeeded", "Failed") else "None"


class Execution:
    """One run of a plan. Call it where signals are deferred: they are asked for at every tick."""

    def __init__(self, plan: Plan, limits: Path | None) -> None:
        self._plan = plan
        self._limits = limits
        self._dag = {name: Node(planned) for name, planned in plan.tasks.items()}
        self._final = {name: Node(planned) for name, planned in plan.final.items()}
        self._failures: list[Node] = []
        self._values = dict(plan.values)
        self._cancelled = False

    def run(self) -> None:
        """Run all tasks, then all of `finally`, which nothing may prevent, not even a bug of ours."""
        try:
            while not _all_done(self._dag):
                self._look_for_signal()
                self._finish_ended(self._dag)
                self._advance()
        except BaseException:
            self._stop_running()
            raise
        finally:
            self._run_finally()

    def _run_finally(self) -> None:
        self._values |= self._statuses()
        for node in self._final.values():
            self._start_final(node)
        while not _all_done(self._final):
            self._finish_ended(self._final)

    @property
    def failures(self) -> list[Node]:
        """Tasks that fail the run, in the order in which they ended."""
        return self._failures

    def results(self) -> dict[str, str]:
        """The Pipeline's results, but for those made of a result that is not there."""
        values = {**_result_values("tasks", self._dag), **_result_values("finally", self._final)}
        made = {
            result.name: result.value for result in self._plan.results if _known(references([result.value]), values)
        }
        return {name: substitute(value, values) for name, value in made.items()}

    # Deciding

    def _advance(self) -> None:
        """Skip or start every task whose time has come."""
        for node in self._dag.values():
            if node.state != "pending":
                continue
            if self._cancelled or self._failures:
                _skip(node, "the run was cancelled" if self._cancelled else f"{self._failures[0].name} failed")
            elif all(self._dag[parent].done for parent in node.planned.parents):
                self._decide(node)

    def _decide(self, node: Node) -> None:
        values = {**self._values, **self._results_for(node)}
        poison = next(
            (parent for parent in self._parents(node) if parent.state == "skipped" and not parent.by_when), None
        )
        missing = self._missing(node)
        if self._skip_by_when(node, values):
            node.by_when = True
        elif poison:
            _skip(node, f"{poison.name} was skipped")
        elif missing and (node.planned.spec.on_error == "continue" or self._dag[missing[0]].state == "skipped"):
            _skip(node, f"{missing[0]} has no result {missing[1]}")
        elif missing:
            self._fail(node, BUG, f"{missing[0]} wrote no result {missing[1]}")
        else:
            self._start(node, values)

    def _start_final(self, node: Node) -> None:
        values = {**self._values, **self._results_for(node)}
        missing = self._missing(node)
        if missing:
            _skip(node, f"{missing[0]} has no result {missing[1]}")
        elif not self._skip_by_when(node, values):
            self._start(node, values)

    @staticmethod
    def _skip_by_when(node: Node, values: Mapping[str, str]) -> bool:
        """Skip the task if one of its guards does not hold.

        A result that is not there leaves its variable as text, as in Tekton.
        """
        for guard in node.planned.spec.when:
            found = substitute(guard.input, values) in [substitute(value, values) for value in guard.values]
            if found != (guard.operator == "in"):
                _skip(node, f"when {substitute(guard.input, values)!r} {guard.operator} {', '.join(guard.values)}")
                return True
        return False

    def _parents(self, node: Node) -> list[Node]:
        return [self._dag[name] for name in sorted(node.planned.parents)]

    def _results_for(self, node: Node) -> dict[str, str]:
        """Results of other tasks that the node uses: all of them or, as in Tekton, none."""
        return {} if self._missing(node) else _result_values("tasks", self._dag)

    def _missing(self, node: Node) -> tuple[str, str] | None:
        """Task and name of the first result that the node uses and that is not there."""
        known = _result_values("tasks", self._dag)
        wanted = ((reference, task_result(reference)) for reference in references(node.planned.spec.texts))
        return next(((result[1], result[2]) for name, result in wanted if result and name not in known), None)

    def _statuses(self) -> dict[str, str]:
        nodes = self._dag.values()
        if any(node.state == "Failed" for node in nodes):
            overall = "Failed"
        else:
            overall = "Completed" if any(node.state == "skipped" for node in nodes) else "Succeeded"
        return {"tasks.status": overall, **{f"tasks.{node.name}.status": node.status for node in nodes}}

    # Acting

    def _start(self, node: Node, values: Mapping[str, str]) -> None:
        spec, bound = node.planned.spec, self._plan.workspaces
        inputs = Inputs(
            params={param.name: substitute(param.value, values) for param in spec.params},
            workspaces={binding.name: bound[binding.source] for binding in spec.workspaces if binding.source in bound},
            task_run_uid=node.planned.uid,
            task_run_name=f"{self._plan.run_name}-{node.name}",
            limits=self._limits,
        )
        node.state, node.tries, node.began = "running", node.tries + 1, node.began or time.monotonic()
        say(f"{node.name}: started ({node.planned.command})")
        try:
            node.attempt = Attempt(node.planned, inputs)
        except OSError as error:
            self._fail(node, Unavailable.exit_code, f"it cannot be started: {error.strerror}")

    def _fail(self, node: Node, code: int, why: str) -> None:
        node.state, node.exit_code = "Failed", code
        if node.fails_run:
            self._failures.append(node)
        say(f"{node.name}: Failed, {why}")

    def _finish_ended(self, nodes: Mapping[str, Node]) -> None:
        """Take in what has ended; wait a little when nothing has."""
        ended = False
        for node in nodes.values():
            code = node.attempt.poll() if node.attempt else None
            if code is not None:
                self._finish(node, code)
                ended = True
        if not ended and any(node.attempt for node in nodes.values()):
            time.sleep(_TICK)

    def _finish(self, node: Node, code: int) -> None:
        attempt, node.attempt = node.attempt, None
        if attempt is None:
            return
        node.exit_code, node.timed_out, node.results = code, attempt.timed_out, attempt.take_results()
        failed = bool(code) or attempt.timed_out
        again = failed and node.tries <= node.planned.spec.retries and not attempt.cancelled
        node.state = "Failed" if failed else "Succeeded"
        say(_ending(node, again=again))
        if again:
            self._start(node, {**self._values, **self._results_for(node)})
        elif node.fails_run:
            self._failures.append(node)

    def _look_for_signal(self) -> None:
        """Like CancelledRunFinally: running tasks get SIGTERM, once, and `finally` follows."""
        if self._cancelled or signals.pending() is None:
            return
        self._cancelled = True
        say("cancelled: stopping what runs, finally follows")
        self._stop_running()

    def _stop_running(self) -> None:
        for node in self._dag.values():
            if node.attempt:
                node.attempt.cancel()


def _all_done(nodes: Mapping[str, Node]) -> bool:
    return all(node.done for node in nodes.values())


def _skip(node: Node, why: str) -> None:
    node.state = "skipped"
    say(f"{node.name}: skipped, {why}")


def _result_values(kind: str, nodes: Mapping[str, Node]) -> dict[str, str]:
    return {
        f"{kind}.{node.name}.results.{name}": value
        for node in nodes.values()
        if node.done
        for name, value in node.results.items()
    }


def _known(names: Iterable[str], values: Mapping[str, str]) -> bool:
    return all(name in values for name in names)


def _ending(node: Node, *, again: bool) -> str:
    how = "timed out" if node.timed_out else f"exit code {node.exit_code}" if node.exit_code else ""
    then = "trying again" if again else "ignored" if node.state == "Failed" and not node.fails_run else ""
    seconds = f"after {time.monotonic() - node.began:.1f} s"
    return f"{node.name}: {', '.join(part for part in (f'{node.state} {seconds}', how, then) if part)}"
