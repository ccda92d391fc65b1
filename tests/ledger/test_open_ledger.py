"""Which ledger a name stands for, and which one is the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos_steps import kube
from chaos_steps.errors import UsageError
from chaos_steps.ledger import open_ledger


@pytest.fixture(autouse=True)
def _no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "KUBECONFIG", "CHAOS_LEDGER_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


def test_the_default_ledger_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert open_ledger(None).describe() == f"file:{tmp_path}/chaos-steps/ledger"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_ledger(None).describe() == f"file:{tmp_path}/home/.local/state/chaos-steps/ledger"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pod has of its service account."""
    monkeypatch.setattr(kube, "_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    return tmp_path


def test_in_a_pod_it_is_a_namespace_the_named_one_or_the_own(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (account / "namespace").write_text("own\n")
    assert open_ledger(None).describe() == "kube:own"
    monkeypatch.setenv("CHAOS_LEDGER_NAMESPACE", "chaos-ledger")
    assert open_ledger(None).describe() == "kube:chaos-ledger"
    assert open_ledger("file:/somewhere").describe() == "file:/somewhere"


@pytest.mark.usefixtures("account")
def test_in_a_pod_without_a_service_account_it_is_told_what_is_missing() -> None:
    with pytest.raises(UsageError, match="automountServiceAccountToken"):
        open_ledger(None)


def test_a_namespace_outside_a_pod_needs_access_to_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="KUBECONFIG"):
        open_ledger("kube:somewhere")


@pytest.mark.parametrize(
    "name", ["file:", "nowhere", "ftp:there", "kube:", "kube:Upper", "kube:../x", "kube:-a", f"kube:{'a' * 64}"]
)
def test_what_names_no_ledger_is_a_mistake(name: str) -> None:
    with pytest.raises(UsageError):
        open_ledger(name)
