"""Install the built wheel into an empty environment, as a user would, and allocate an order there.

A file that is missing from the wheel, or a dependency missing from the lock, works in a checkout
and fails here.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.running import Service, running_service

ROOT = Path(__file__).parent.parent


def install(folder: Path) -> Path:
    """Make an environment with the pinned dependencies and the wheel; return its `nom`."""
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 1:
        raise RuntimeError(f"dist/ holds {len(wheels)} wheels; make build leaves exactly one")
    venv.create(folder, with_pip=True)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    subprocess.run([*pip, "--no-deps", wheels[0]], check=True)
    return folder / "bin" / "nom"


def paste_example(service: Service) -> str:
    """Run the command that the service prints, as a person would paste it; return its answer."""
    command = service.wait_for(r"curl -s (?:.*\\\n)+.*-d '.*'\n").group()
    return subprocess.run(
        ["bash", "-c", command], check=True, capture_output=True, text=True
    ).stdout


def main() -> None:
    """Raise when anything a user does first does not work."""
    with tempfile.TemporaryDirectory(prefix="nom-wheel-") as folder:
        nom = install(Path(folder) / "environment")
        subprocess.run([nom, "--help"], check=True, cwd=folder)
        home = Path(folder) / "home"
        home.mkdir()
        with running_service(nom, home, "--demonstration") as service:
            answer = paste_example(service)
            print(answer)
            if '"status":"held"' not in answer.replace(" ", ""):
                raise RuntimeError(f"the order was not held:\n{answer}\n{service.output}")
            if service.stop() != 0:
                raise RuntimeError(f"the service did not stop cleanly:\n{service.output}")
    print("The wheel works in an empty environment.")


if __name__ == "__main__":
    main()
