"""The Linux kernel's own driver reads what we write: names, contents, modes,
owners, times, links, devices. All discs in one boot of a virtual machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import vm
from support.discs import DISC_NAMES, Disc, Expected
from support.kernel import kernel_views

pytestmark = [pytest.mark.vm, pytest.mark.strangers]


@pytest.fixture(scope="module")
def views(
    kernel_vm: Callable[..., vm.Result],
    written: dict[str, Disc],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, Expected] | str]:
    work = tmp_path_factory.mktemp("kernel")
    return kernel_views(kernel_vm, list(written.values()), work)


@pytest.mark.parametrize("name", DISC_NAMES)
@pytest.mark.timeout(900, func_only=False)
def test_the_kernel_sees_what_was_written(
    name: str, written: dict[str, Disc], views: dict[str, dict[str, Expected] | str]
) -> None:
    view, expected = views[name], written[name].expected
    assert not isinstance(view, str), view
    assert sorted(view) == sorted(expected)
    different = {n: (expected[n], view[n]) for n in expected if view[n] != expected[n]}
    assert different == {}
