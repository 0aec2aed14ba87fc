"""What a worker process asks of the system before it serves."""

import resource

from services.server import allow_files

FEW = 256


def test_a_worker_may_hold_as_many_files_as_its_connections_need() -> None:
    """The usual limit of 1,024 would be found out under load, by everything at once."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, most))
        allow_files(FEW - 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == FEW
        allow_files(FEW + 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == FEW + 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
