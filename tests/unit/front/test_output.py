"""What commands say: one of a thing, names that would move the cursor, a stopped bar."""

from __future__ import annotations

import pytest

from udffs.cli import app, output


def test_one_of_a_thing_is_not_said_to_be_several() -> None:
    assert output.counted(1, "directory", "directories") == "1 directory"
    assert output.counted(0, "file", "files") == "0 files"
    assert output.counted(12, "file", "files") == "12 files"


def test_names_do_not_reach_into_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out = output.Output()
    out.say("\x1b[31mred\udcff")
    out.note("bell\x07")
    out.result({}, "two\nlines\x9b")
    told = capsys.readouterr()
    assert told.out == "\ufffd[31mred\ufffd\ntwo\nlines\ufffd\n"
    assert told.err == "Note: bell\ufffd\n"


def test_what_the_host_refuses_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    app._failed(FileNotFoundError(2, "No such file or directory", "/no/such"), [])
    app._failed(OSError(28, "No space left on device"), [])
    assert capsys.readouterr().err == (
        "udffs: No such file or directory: /no/such\nudffs: No space left on device\n"
    )


def test_a_bar_that_cannot_be_stopped_hides_no_interruption() -> None:
    class Broken:
        def stop(self) -> None:
            raise IndexError("pop from empty list")

    with pytest.raises(KeyboardInterrupt), output._Bar() as bar:
        bar._bar = Broken()
        raise KeyboardInterrupt
