"""What every test can use, and what a run must not leave out."""

import os

import pytest

# What asserts for several modules of tests tells what it saw, as they do.
pytest.register_assert_rewrite("tests.e2e", "tests.cachemgmt.engine", "tests.fakes")

pytest_plugins = ["tests.fakes.redis_server", "tests.fakes.fixtures"]

MAY_BE_ABSENT = "TRIA_EVAL_DATA"
"""Only the real data, which is not part of the project, may be missing where nothing else may."""


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, fail a run that skipped a part it should have run. The summary (-ra) names it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    skipped = [one for one in reporter.stats.get("skipped", []) if MAY_BE_ABSENT not in str(one.longrepr)]
    if skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
