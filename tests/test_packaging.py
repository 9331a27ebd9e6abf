"""The wheel, installed with each extra alone, brings what it promises and no more."""

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Where a module needs an extra, or one of two. All others are the core's, and import without any.
EXTRA_OF = {
    "semel.http": "server",
    "semel.mailers.smtp": "mail server",
    "semel.mails": "mail server",
    "semel.providers.http": "keycloak supabase",
    "semel.couriers.webhooks": "webhooks",
    "semel.invitation_mails": "mail server",
    "semel.link_mails": "mail server",
    "semel.providers.keycloak": "keycloak",
    "semel.providers.keycloak_admin": "keycloak",
    "semel.providers.keycloak_answers": "keycloak",
    "semel.providers.keycloak_check": "keycloak",
    "semel.providers.keycloak_grants": "keycloak",
    "semel.providers.keycloak_http": "keycloak",
    "semel.providers.keycloak_tokens": "keycloak",
    "semel.providers.supabase": "supabase",
    "semel.providers.supabase_admin": "supabase",
    "semel.providers.supabase_answers": "supabase",
    "semel.providers.supabase_grants": "supabase",
    "semel.providers.supabase_http": "supabase",
    "semel.stores.dynamodb": "dynamodb",
    "semel.stores.dynamodb_connect": "dynamodb",
    "semel.stores.dynamodb_errors": "dynamodb",
    "semel.stores.dynamodb_migrate": "dynamodb",
    "semel.stores.azure_client": "azure",
    "semel.stores.azure_connect": "azure",
    "semel.stores.azure_errors": "azure",
    "semel.testing.azure_faults": "azure",
    "semel.stores.postgres": "postgres",
    "semel.stores.postgres_connect": "postgres",
    "semel.stores.postgres_errors": "postgres",
    "semel.stores.postgres_identity": "postgres",
    "semel.stores.postgres_migrate": "postgres",
    "semel.stores.postgres_steps": "postgres",
    "semel.stores.postgres_pool": "postgres",
    "semel.testing.aws_faults": "dynamodb",
}
READ_BY_TESTS = {".env.example", "Makefile", "README.md", "docs/quickstart.md", "requirements/run.txt", "scripts/setup"}
# A script that Alembic runs, no module to import.
SCRIPTS = {"semel.stores.migrations.env"}


@dataclass(frozen=True)
class Promise:
    """What an installation brings: the modules of the ``extras``, and of others' packages neither more nor less."""

    requirement: str
    extras: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


PROMISES = [
    Promise(
        "semel",
        absent=frozenset(
            {"fastapi", "limits", "redis", "uvicorn", "asyncpg", "aiobotocore", "aiosmtplib", "azure", "httpx"}
        ),
    ),
    Promise(
        "semel[server]",
        frozenset({"server"}),
        frozenset({"fastapi", "uvicorn", "aiosmtplib", "jinja2"}),
        frozenset({"asyncpg", "redis"}),
    ),
    Promise("semel[mail]", frozenset({"mail"}), frozenset({"aiosmtplib", "jinja2"}), frozenset({"fastapi", "asyncpg"})),
    Promise("semel[redis]", frozenset({"redis"}), frozenset({"redis"}), frozenset({"fastapi", "asyncpg"})),
    Promise("semel[postgres]", frozenset({"postgres"}), frozenset({"asyncpg"}), frozenset({"fastapi", "uvicorn"})),
    Promise("semel[dynamodb]", frozenset({"dynamodb"}), frozenset({"aiobotocore"}), frozenset({"fastapi", "asyncpg"})),
    Promise("semel[azure]", frozenset({"azure"}), frozenset({"azure", "aiohttp"}), frozenset({"fastapi", "asyncpg"})),
    Promise("semel[keycloak]", frozenset({"keycloak"}), frozenset({"httpx"}), frozenset({"fastapi", "asyncpg"})),
    Promise("semel[supabase]", frozenset({"supabase"}), frozenset({"httpx"}), frozenset({"fastapi", "asyncpg"})),
    Promise(
        "semel[webhooks]",
        frozenset({"webhooks"}),
        frozenset({"httpx", "standardwebhooks"}),
        frozenset({"fastapi", "asyncpg"}),
    ),
    Promise(
        "semel[all]",
        frozenset({"server", "postgres", "azure", "dynamodb", "keycloak", "mail", "redis", "supabase", "webhooks"}),
        frozenset({"fastapi", "uvicorn", "redis", "asyncpg", "aiobotocore", "aiosmtplib", "azure", "httpx"}),
    ),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory))
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_is_typed_licensed_and_holds_the_package_alone(wheel: Path) -> None:
    """Type checkers find the marker, lawyers the licence, and nobody the tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "semel/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"semel"}


def test_the_source_distribution_is_enough_to_test(tmp_path: Path) -> None:
    """Whatever tests, docs and ``make`` read is in it."""
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path))
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= READ_BY_TESTS


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all installations, one after the other: what Python has compiled of a file there is kept."""
    return tmp_path_factory.mktemp("installed")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.requirement)
def test_an_extra_alone_brings_what_it_promises(promise: Promise, wheel: Path, place: Path) -> None:
    """Every module whose extra is installed imports; packages of the other extras are not there."""
    python = [install(promise.requirement, wheel, place / "env"), "-I", "-X", f"pycache_prefix={place / 'compiled'}"]
    run(*python, "-c", "".join(f"import {name}\n" for name in promised(promise.extras, wheel)))
    packages = sorted(promise.present | promise.absent)
    found = run(
        *python, "-c", f"from importlib.util import find_spec\nfor one in {packages}:\n if find_spec(one): print(one)"
    )
    assert set(found.split()) == promise.present


def install(requirement: str, wheel: Path, directory: Path) -> str:
    """Install the wheel at the locked versions into an environment of its own; return its interpreter."""
    python = str(directory / "bin" / "python")
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(directory), "--clear")
    locked = str(ROOT / "requirements" / "run.txt")
    wanted = f"{requirement} @ {wheel.as_uri()}"
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "--constraints", locked, wanted)
    return python


def promised(extras: frozenset[str], wheel: Path) -> list[str]:
    """Return the wheel's modules that need no extra but these."""
    files = [Path(name) for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]
    names = sorted({".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files} - SCRIPTS)
    missing = tuple(module for module, extra in EXTRA_OF.items() if extras.isdisjoint(extra.split()))
    return [name for name in names if not any(f"{name}.".startswith(f"{module}.") for module in missing)]


def run(*command: str) -> str:
    """Run a command at the project's root; one that fails shows all it said."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
