"""Fixtures of all tests, and a visible word for what was left out."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import vm
from support import machine
from vm.kernel import get_kernel

# A program of somebody else's, or the test is left out with a sentence.
FindProgram = Callable[[str], Path]
KernelVm = Callable[..., vm.Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unit tests before system tests; the slow ones only when asked for."""
    for item in items:
        if item.get_closest_marker("fuse") and (why := machine.why_no_fuse()):
            item.add_marker(pytest.mark.skip(reason=why))
        if item.get_closest_marker("slow") and not config.getoption("--all"):
            item.add_marker(pytest.mark.skip(reason="slow; `tools/test --all` runs it"))
    items.sort(key=lambda item: "system" in item.path.parts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests go to the workers one by one, except where a whole file shares
    something that takes long to make, such as a booted kernel."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if path.rpartition("/")[2].startswith("test_strangers_") else nodeid

    # The long ones are begun as they come: after the unit tests.
    config.option.loadscopereorder = False
    return Scheduling(config, log)


# -- what was left out, and why ----------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if not reasons:
        return
    terminalreporter.section("left out on this machine")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")


# -- fixtures ----------------------------------------------------------------


@pytest.fixture(scope="session")
def program() -> FindProgram:
    """``program("udfinfo")`` is its path; the test is left out if it has none."""

    def find(name: str) -> Path:
        path = machine.find_program(name)
        if path is None:
            pytest.skip(machine.why_no_program(name))
        return path

    return find


@pytest.fixture(scope="session")
def shared_images() -> Path:
    """The folder of discs that other programs wrote (never part of the project)."""
    folder = machine.shared_images()
    if folder is None:
        pytest.skip("no discs of other programs here (../shared/images, or $UDFFS_IMAGES)")
    return folder


@pytest.fixture(scope="session")
def kernel_vm() -> KernelVm:
    """``vm.run``: a command as root under a real Linux kernel, some seconds a boot."""
    if machine.find_program("qemu-system-x86_64") is None:
        pytest.skip(machine.why_no_program("qemu-system-x86_64"))
    try:
        get_kernel()
    except vm.VmUnavailable as why:
        pytest.skip(f"no Linux kernel to check against: {why}")
    return vm.run


@pytest.fixture(scope="session")
def _gates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    # The parent of a worker's directory is shared by all workers of a run.
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    return shared / "entry.lock", shared / "machine.lock"


@pytest.fixture(autouse=True)
def _machine_shared_or_alone(
    request: pytest.FixtureRequest, _gates: tuple[Path, Path]
) -> Iterator[None]:
    """Tests marked ``alone`` hold the machine for themselves, others share it.

    The first gate is held only while waiting at the second, so that a test
    which waits for the machine is not overtaken for ever.
    """
    how = fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH
    entry, machine_gate = _gates
    with entry.open("w") as first, machine_gate.open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(second, how)
        fcntl.flock(first, fcntl.LOCK_UN)
        yield
