"""Tekton's Tasks and Pipelines, as far as `chaos-steps run` knows them.

The structs are the list of what it knows: anything else in a file is refused with its path, so a Pipeline never runs
here in another way than on a cluster. Fields typed `Any` shape a pod and mean nothing to a process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from chaos_steps.errors import UsageError

AnyManifest = TypeVar("AnyManifest")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of all structs here."""


class Metadata(Manifest, frozen=True, kw_only=True):
    """Name of a manifest; labels and annotations are for others."""

    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ParamSpec(Manifest, frozen=True, kw_only=True):
    """A declared param; without a default it must be given."""

    name: str
    type: Literal["string"] = "string"
    description: str = ""
    default: str | None = None


class Param(Manifest, frozen=True, kw_only=True):
    """A param that is handed to a Task."""

    name: str
    value: str


class ResultSpec(Manifest, frozen=True, kw_only=True):
    """A result that a Task declares."""

    name: str
    type: Literal["string"] = "string"
    description: str = ""


class WorkspaceSpec(Manifest, frozen=True, kw_only=True):
    """A workspace that a Task or a Pipeline declares."""

    name: str
    description: str = ""
    optional: bool = False
    read_only: bool = False
    mount_path: str = ""
    """Means nothing here: a process sees the folder that is bound."""


class FieldRef(Manifest, frozen=True, kw_only=True):
    """A field of the pod."""

    field_path: str


class ValueFrom(Manifest, frozen=True, kw_only=True):
    """A value that only a pod has."""

    field_ref: FieldRef


class Variable(Manifest, frozen=True, kw_only=True):
    """An environment variable."""

    name: str
    value: str = ""
    value_from: ValueFrom | None = None


class VolumeMount(Manifest, frozen=True, kw_only=True):
    """Where a volume is in a pod."""

    name: str
    mount_path: str
    read_only: bool = False


class ConfigMap(Manifest, frozen=True, kw_only=True):
    """A ConfigMap as a volume. It must be optional: there is none here."""

    name: str
    optional: Literal[True]


class Volume(Manifest, frozen=True, kw_only=True):
    """A volume of a pod."""

    name: str
    empty_dir: dict[str, Any] | None = None
    config_map: ConfigMap | None = None


class Template(Manifest, frozen=True, kw_only=True):
    """What all steps of a Task have."""

    env: tuple[Variable, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    security_context: Any = None
    compute_resources: Any = None


class Step(Template, frozen=True, kw_only=True):
    """A container; here, one of our commands as a process."""

    name: str
    command: tuple[str]
    image: Any = None
    image_pull_policy: Any = None


class TaskSpec(Manifest, frozen=True, kw_only=True):
    """A Task of one step."""

    steps: tuple[Step]
    display_name: str = ""
    description: str = ""
    params: tuple[ParamSpec, ...] = ()
    results: tuple[ResultSpec, ...] = ()
    workspaces: tuple[WorkspaceSpec, ...] = ()
    step_template: Template = Template()
    volumes: tuple[Volume, ...] = ()


class Task(Manifest, frozen=True, kw_only=True):
    """tekton/tasks/NAME/NAME.yaml."""

    api_version: Literal["tekton.dev/v1"]
    kind: Literal["Task"]
    metadata: Metadata
    spec: TaskSpec

    @property
    def variables(self) -> dict[str, Variable]:
        """The environment of the step by name; its own wins over the template's."""
        step = self.spec.steps[0]
        return {variable.name: variable for variable in (*self.spec.step_template.env, *step.env)}

    @property
    def config_paths(self) -> set[str]:
        """Paths at which a pod has ConfigMaps."""
        step = self.spec.steps[0]
        maps = {volume.name for volume in self.spec.volumes if volume.config_map}
        mounts = (*self.spec.step_template.volume_mounts, *step.volume_mounts)
        return {mount.mount_path for mount in mounts if mount.name in maps}


class TaskRef(Manifest, frozen=True, kw_only=True):
    """Name of a Task."""

    name: str
    kind: Literal["Task"] = "Task"


class When(Manifest, frozen=True, kw_only=True):
    """A guard of a task."""

    input: str
    operator: Literal["in", "notin"]
    values: tuple[str, ...]


class WorkspaceBinding(Manifest, frozen=True, kw_only=True):
    """The Task's workspace `name` is the Pipeline's `workspace`, by default the one of the same name."""

    name: str
    workspace: str = ""

    @property
    def source(self) -> str:
        """Name of the Pipeline's workspace."""
        return self.workspace or self.name


class PipelineTask(Manifest, frozen=True, kw_only=True):
    """A task of a Pipeline."""

    name: str
    task_ref: TaskRef
    display_name: str = ""
    description: str = ""
    params: tuple[Param, ...] = ()
    when: tuple[When, ...] = ()
    run_after: tuple[str, ...] = ()
    workspaces: tuple[WorkspaceBinding, ...] = ()
    timeout: str = "1h"
    """Of one attempt; Tekton's default."""
    retries: int = 0
    on_error: Literal["continue", "stopAndFail"] = "stopAndFail"

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that may hold variables."""
        guards = (text for when in self.when for text in (when.input, *when.values))
        return (*(param.value for param in self.params), *guards)


class PipelineResult(Manifest, frozen=True, kw_only=True):
    """A result of a Pipeline, made of results of its tasks."""

    name: str
    value: str
    type: Literal["string"] = "string"
    description: str = ""


class PipelineSpec(Manifest, frozen=True, kw_only=True):
    """A Pipeline; tasks are read one by one, so that an error can name the task."""

    tasks: tuple[dict[str, Any], ...]
    finally_: tuple[dict[str, Any], ...] = msgspec.field(name="finally", default=())
    display_name: str = ""
    description: str = ""
    params: tuple[ParamSpec, ...] = ()
    workspaces: tuple[WorkspaceSpec, ...] = ()
    results: tuple[PipelineResult, ...] = ()


class Pipeline(Manifest, frozen=True, kw_only=True):
    """tekton/pipelines/NAME/NAME.yaml."""

    api_version: Literal["tekton.dev/v1"]
    kind: Literal["Pipeline"]
    metadata: Metadata
    spec: PipelineSpec


def read(path: Path, kind: type[AnyManifest]) -> AnyManifest:
    """A manifest file. Raises UsageError with the path of a field that is not known or not as it should be."""
    try:
        content = msgspec.yaml.decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    return convert(content, kind, str(path), "$")


def convert(value: Any, kind: type[AnyManifest], file: str, where: str) -> AnyManifest:
    """A part of a manifest; `where` is its path in `file`. Raises UsageError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise UsageError(
            f"{file}: {where}{path.rstrip('`')}: {text}", hint="chaos-steps run does not know that"
        ) from error


def pipeline_tasks(items: tuple[dict[str, Any], ...], file: str, where: str) -> tuple[PipelineTask, ...]:
    """The tasks under `where` of a Pipeline file. Raises UsageError."""
    return tuple(convert(item, PipelineTask, file, f"{where}[{index}]") for index, item in enumerate(items))
