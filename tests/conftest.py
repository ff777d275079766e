"""What every test can use."""

pytest_plugins = ["tests.fakes.redis_server", "tests.fakes.fixtures"]
