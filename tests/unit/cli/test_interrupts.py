from __future__ import annotations

from workers.cli.interrupts import is_interrupt


def failure(first: type[BaseException]) -> BaseException:
    """The error of a clean-up that failed while `first` passed it."""
    try:
        try:
            raise first
        finally:
            raise RuntimeError("can't clean up")
    except RuntimeError as error:
        return error


def test_ctrl_c_is_seen_through_the_error_of_a_clean_up() -> None:
    assert is_interrupt(KeyboardInterrupt())
    assert is_interrupt(failure(KeyboardInterrupt))


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_interrupt(failure(ValueError))
    assert not is_interrupt(RuntimeError())
