"""Odoo from Debian's packages: the program, an initialised database kept as a template, and the server.

What belongs here: getting Odoo to run on this machine. What does not: talking to it as UniERP
(:mod:`unierp_assets.odoo`).
"""

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib import error as url_error
from urllib import request as url_request

from uv import find_uv_bin

from unierp_assets.lab import postgres, processes
from unierp_assets.lab.cache import Cache, remove
from unierp_assets.lab.downloads import fetch_packages
from unierp_assets.lab.errors import OWN_ODOO, LabError
from unierp_assets.lab.postgres import Cluster, PostgresServer
from unierp_assets.lab.processes import HOST, ProcessRef, free_port, is_free, run
from unierp_assets.lab.progress import Detail, Reporter

OdooVersion = Literal["19", "14"]
VERSIONS: tuple[OdooVersion, ...] = get_args(OdooVersion)
LOGIN = "admin"

_HERE = Path(__file__).parent
_MODULES = (
    *("sale_management", "stock", "purchase", "account", "crm", "delivery", "sale_stock", "stock_account"),
    *("hr_expense", "l10n_generic_coa", "contacts"),
)
# The web client's fonts and scripts: without them every page answers 500.
_WEB = (
    *("libjs-jquery", "libjs-jquery-form", "libjs-underscore", "fonts-font-awesome", "fonts-roboto-unhinted"),
    *("fonts-montserrat", "fonts-inconsolata", "fonts-ocr-b"),
)
_WORKERS = 2
_LOADING = re.compile(r"Loading module (\S+) \((\d+)/(\d+)\)")
# A password of a lab on this machine needs no more; Odoo itself raises it at the first login.
_HASH_ROUNDS = 25_000


@dataclass(frozen=True, slots=True)
class Release:
    """What differs between the versions of Odoo, as far as running it goes."""

    version: OdooVersion
    suite: str
    pythons: tuple[tuple[int, int], ...]
    companions: tuple[str, ...]
    modules: tuple[str, ...]
    second_port: str

    @property
    def package(self) -> str:
        return f"odoo-{self.version}"

    @property
    def requirements(self) -> Path:
        return _HERE / f"odoo-{self.version}-requirements.txt"


RELEASES: Mapping[OdooVersion, Release] = {
    "19": Release(
        version="19",
        suite="sid",
        pythons=((3, 11), (3, 12)),
        companions=_WEB,
        modules=(*_MODULES, "loyalty", "sale_loyalty"),
        second_port="gevent_port",
    ),
    "14": Release(
        version="14",
        suite="bullseye",
        pythons=((3, 9),),
        companions=(*_WEB, "libjs-jquery-ui", "fonts-glyphicons-halflings"),
        modules=(*_MODULES, "coupon"),
        second_port="longpolling_port",
    ),
}


# -- the program ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Program:
    """An Odoo that can be run: its unpacked files, and a Python with the packages it needs."""

    release: Release
    root: Path
    python: Path
    package_version: str

    def command(self, *arguments: str | Path) -> list[str | Path]:
        return [self.python, self.root / "usr/bin/odoo", *arguments]

    def environment(self) -> dict[str, str]:
        # Variables of the caller's own PostgreSQL, Odoo or Python would lead the program elsewhere.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PG", "ODOO", "OPENERP", "PYTHON", "VIRTUAL_ENV"))
        }
        return {
            **inherited,
            "PYTHONPATH": str(self.root / "usr/lib/python3/dist-packages"),
            "PYTHONNOUSERSITE": "1",
            "PYTHONWARNINGS": "ignore",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }


def prepare_program(version: OdooVersion, cache: Cache, progress: Reporter) -> Program:
    """Odoo's files and its virtual environment, from the cache or fetched, side by side."""
    release = RELEASES[version]
    # Before anything is fetched: without the right Python all of it would be in vain.
    python_found = find_python(release)
    with ThreadPoolExecutor(2) as pool:
        files = pool.submit(_files, release, cache, progress)
        python = pool.submit(_virtual_environment, release, python_found, cache, progress)
        root = files.result()
        package_version = (root / "package-version").read_text(encoding="utf-8")
        return Program(release, root / "root", python.result() / "bin/python", package_version)


def _files(release: Release, cache: Cache, progress: Reporter) -> Path:
    def build(folder: Path) -> None:
        with progress.step(f"Fetching Odoo {release.version} from Debian") as detail:
            found = fetch_packages(
                release.suite, release.package, release.companions, folder / "root", folder / "work", detail
            )
            remove(folder / "work")
            (folder / "package-version").write_text(found, encoding="utf-8")

    return cache.get(f"odoo-{release.version}-{_digest(release.suite, *release.companions)}", build, progress)


def _virtual_environment(release: Release, python: Path, cache: Cache, progress: Reporter) -> Path:
    version = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], f"Asking {python}").strip()
    name = f"odoo-{release.version}-python{version}-{_digest(release.requirements.read_text(encoding='utf-8'))}"

    def build(folder: Path) -> None:
        with progress.step(f"Installing the Python packages of Odoo {release.version}"):
            install_packages(python, folder, release.requirements)

    entry = cache.get(name, build, progress)
    if not (entry / "bin/python").exists():
        # The Python it was made with has been removed since.
        cache.drop(name)
        entry = cache.get(name, build, progress)
    return entry


def install_packages(python: Path, folder: Path, requirements: Path) -> None:
    """Make a virtual environment in an empty folder with the packages of a requirements file, by uv or pip."""
    what = f"Installing {requirements.name}"
    uv = find_uv_bin()
    try:
        run([uv, "venv", "--quiet", "--allow-existing", "--python", python, folder], what)
        run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", folder, "-r", requirements], what)
        return
    except LabError:
        # uv reads other settings than pip; where only pip is told how to reach the packages, pip does it.
        remove(folder)
        folder.mkdir()
    try:
        run([python, "-m", "venv", folder], "Creating a virtual environment")
    except LabError as error:
        raise LabError(f"{error}; the package python3-venv (or uv) is needed.") from error
    run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-input", "-r", requirements], what)


def find_python(release: Release) -> Path:
    """A Python on this machine that Odoo's version runs on and that really starts.

    Raises:
        LabError: There is none; says which is needed.
    """
    for wanted in release.pythons:
        for candidate in _pythons(wanted):
            if _is_python(candidate, wanted):
                return candidate
    names = " or ".join(f"{major}.{minor}" for major, minor in release.pythons)
    raise LabError(
        f"Odoo {release.version} needs Python {names}, and none was found on the PATH, by pyenv or by uv; "
        f"install one (`uv python install {names.split()[0]}`, `pyenv install {names.split()[0]}`), or {OWN_ODOO}."
    )


def _pythons(wanted: tuple[int, int]) -> Iterator[Path]:
    name = f"{wanted[0]}.{wanted[1]}"
    if sys.version_info[:2] == wanted:
        yield Path(sys.executable)
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    yield from (folder / f"python{name}" for folder in folders)
    # A shim of pyenv only runs the versions that are switched on; the others are beside it.
    shims = [folder.parent for folder in folders if folder.name == "shims"]
    for pyenv in [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"), *shims]:
        yield from sorted(pyenv.glob(f"versions/{name}*/bin/python{name}"))
    found = subprocess.run([find_uv_bin(), "python", "find", name], capture_output=True, text=True, check=False)
    if found.returncode == 0:
        yield Path(found.stdout.strip())


def _is_python(candidate: Path, wanted: tuple[int, int]) -> bool:
    """Whether it starts, has that version and can make virtual environments. A shim on the PATH may do none of it."""
    if not candidate.is_file():
        return False
    check = f"import sys, venv; sys.exit(sys.version_info[:2] != {wanted!r})"
    try:
        return subprocess.run([candidate, "-c", check], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]


# -- the template --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Template:
    """An initialised database: PostgreSQL's dump of it and Odoo's attachments."""

    dump: Path
    filestore: Path


def prepare_template(program: Program, cache: Cache, progress: Reporter) -> Template:
    """The initialised database of an Odoo version, from the cache or made now (one to two minutes)."""
    release = program.release
    recipe = _digest(*release.modules, (_HERE / "odoo_bootstrap.py").read_text(encoding="utf-8"))
    safe_version = re.sub(r"[^\w.+-]", "_", program.package_version)
    name = f"odoo-{release.version}-template-{safe_version}-{recipe}"

    def build(folder: Path) -> None:
        with progress.step(f"Initialising an Odoo {release.version} database, once for this machine") as detail:
            _initialise(program, folder, detail)

    entry = cache.get(name, build, progress)
    return Template(entry / "dump", entry / "filestore")


def _initialise(program: Program, folder: Path, detail: Detail) -> None:
    work = folder / "work"
    cluster = Cluster(work / "postgres", durable=False)
    database = "template"
    try:
        server = cluster.start()
        postgres.ensure_database(server, database)
        conf = work / "odoo.conf"
        _write_private(conf, _conf(server, data=work / "data"))
        initialise = program.command("-c", conf, "-d", database, "--stop-after-init", "--no-http")
        modules = [*("-i", ",".join(program.release.modules)), *("--without-demo", "all")]
        _run_odoo(program, [*initialise, *modules], detail)
        detail("setting up the company")
        script = work / "bootstrap"
        script.write_text((_HERE / "odoo_bootstrap.py").read_text(encoding="utf-8") + "\n\nbootstrap(env)\n")
        with script.open("rb") as stdin:
            shell = program.command("shell", "-c", conf, "-d", database, "--no-http")
            run(shell, "Setting up the company in Odoo", env=program.environment(), stdin=stdin)
        detail("saving the template")
        postgres.dump_database(server, database, folder / "dump")
        filestore = work / "data/filestore" / database
        filestore.mkdir(parents=True, exist_ok=True)
        filestore.rename(folder / "filestore")
    finally:
        cluster.stop()
    remove(work)


def _run_odoo(program: Program, command: list[str | Path], detail: Detail) -> None:
    """Run Odoo to its end, telling which module it is at."""
    last = ""
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=program.environment(),
    ) as process:
        for line in process.stdout or ():
            last = line.strip() or last
            loading = _LOADING.search(line)
            if loading:
                detail(f"module {loading[2]} of {loading[3]}")
    if process.returncode:
        raise LabError(f"Initialising Odoo {program.release.version} failed: {last}")


def _conf(server: PostgresServer, *, data: Path, **more: object) -> str:
    options = {
        "db_host": HOST,
        "db_port": server.port,
        "db_user": postgres.ROLE,
        "db_password": server.password,
        "data_dir": data,
        "admin_passwd": secrets.token_urlsafe(18),
        **more,
    }
    return "[options]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, encoding="utf-8")


# -- the server ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OdooServer:
    """How to reach a lab's Odoo, and the process that serves it (None: not started)."""

    version: OdooVersion
    database: str
    port: int
    second_port: int
    password: str = field(repr=False)
    login: str = LOGIN
    process: ProcessRef | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class OdooInstance:
    """A folder with Odoo's configuration, attachments and log, and the server that may run on it."""

    def __init__(self, folder: Path, version: OdooVersion) -> None:
        self.folder = folder
        self.version = version
        self.conf = folder / "odoo.conf"
        self.log = folder / "odoo.log"
        self.filestore = folder / "data/filestore"
        # The arguments by which the processes of this server are known, and nobody's shell on the same database.
        self._serving = ["-c", str(self.conf), "--workers", str(_WORKERS), "--max-cron-threads", "0"]

    def create_database(self, postgres_server: PostgresServer, template: Template, name: str, password: str) -> None:
        """Make the database from the template where it is missing, with this password of the administrator.

        It is restored under another name and renamed when it is whole, so that a killed run is done again.
        """
        if postgres.database_exists(postgres_server, name):
            return
        partial = f"{name}_partial"
        postgres.drop_database(postgres_server, partial)
        postgres.ensure_database(postgres_server, partial)
        postgres.restore_database(postgres_server, template.dump, partial)
        self._take_over(postgres_server, partial, template.filestore, name, password)
        postgres.rename_database(postgres_server, partial, name)

    def clone_database(self, postgres_server: PostgresServer, source: str, name: str, password: str) -> None:
        """Make a copy of another database of this instance, to which nobody may be connected."""
        postgres.clone_database(postgres_server, source, name)
        self._take_over(postgres_server, name, self.filestore / source, name, password)

    def _take_over(self, postgres_server: PostgresServer, database: str, files: Path, name: str, password: str) -> None:
        remove(self.filestore / name)
        self.filestore.mkdir(parents=True, exist_ok=True)
        shutil.copytree(files, self.filestore / name)
        self.set_password(postgres_server, database, password)
        with postgres_server.connect(database) as connection:
            for key in ("database.uuid", "database.secret"):
                # Two copies with the same identity would accept each other's sessions.
                connection.execute("UPDATE ir_config_parameter SET value = %s WHERE key = %s", [str(uuid.uuid4()), key])

    def set_password(self, postgres_server: PostgresServer, database: str, password: str) -> None:
        """Give the administrator this password."""
        with postgres_server.connect(database) as connection:
            hashed = password_hash(password)
            connection.execute("UPDATE res_users SET password = %s WHERE login = %s", [hashed, LOGIN])

    def is_alive(self) -> bool:
        """Whether any process of this instance's server runs."""
        return bool(processes.naming(self._serving))

    def is_serving(self, server: OdooServer, postgres_server: PostgresServer) -> bool:
        """Whether the server runs, on this PostgreSQL, and answers."""
        alive = server.process is not None and server.process.is_alive()
        return alive and self._is_for(postgres_server) and answers(server.url, patience=30)

    def start(
        self,
        program: Callable[[], Program],
        postgres_server: PostgresServer,
        database: str,
        password: str,
        previous: OdooServer | None = None,
    ) -> OdooServer:
        """Make sure that the server runs and answers; one that does is left alone.

        Args:
            program: Called only when the server has to be started.
            database: The database whose pages are shown; calls may name others.
            previous: What an earlier call returned, to keep its ports where they are free.

        Raises:
            LabError: The server ended or does not answer; names its log.
        """
        if previous and self.is_serving(previous, postgres_server):
            return previous
        self.stop()

        runnable = program()
        for attempt in range(3):
            keep = previous if previous and attempt == 0 else None
            port = keep.port if keep and is_free(keep.port) else free_port()
            second = keep.second_port if keep and is_free(keep.second_port) else free_port(taken=[port])
            self._configure(runnable, postgres_server, database, port, second)
            process = processes.spawn([*runnable.command(), *self._serving], env=runnable.environment(), log=self.log)
            server = OdooServer(self.version, database, port, second, password, process=ProcessRef.of(process.pid))
            if processes.wait_until(lambda: process.poll() is not None or answers(server.url), 120, pause=0.2):  # noqa: B023
                if process.poll() is None:
                    return server
                if attempt < 2 and "Address already in use" in self._log_end():
                    continue
            self.stop()
            raise LabError(f"Odoo {self.version} does not start; the end of {self.log} says why.")
        raise AssertionError("unreachable")

    def _is_for(self, postgres_server: PostgresServer) -> bool:
        try:
            return f"db_port = {postgres_server.port}\n" in self.conf.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False

    def _configure(
        self, program: Program, postgres_server: PostgresServer, database: str, port: int, second_port: int
    ) -> None:
        more = {
            "http_interface": HOST,
            "http_port": port,
            program.release.second_port: second_port,
            "db_name": database,
            "list_db": False,
        }
        _write_private(self.conf, _conf(postgres_server, data=self.folder / "data", **more))
        with postgres_server.connect(database) as connection:
            connection.execute(
                "UPDATE ir_config_parameter SET value = %s WHERE key = 'web.base.url'", [f"http://{HOST}:{port}"]
            )

    def _log_end(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def stop(self) -> None:
        """Stop the server: first its main process, which ends its workers in order, then what it left behind."""
        processes.stop([process for process in processes.naming(self._serving) if processes.leads(process)])
        processes.stop(processes.naming(self._serving), patience=5)


def answers(url: str, *, patience: float = 0) -> bool:
    """Whether an Odoo server answers at this address, within ``patience`` seconds."""

    def version_info() -> bool:
        try:
            answer = post_json(f"{url}/web/webclient/version_info", {}, timeout=10)
        except OSError:
            return False
        return "result" in answer

    return processes.wait_until(version_info, patience)


def post_json(url: str, params: Mapping[str, object], *, timeout: float) -> dict[str, object]:
    """The answer of a JSON-RPC call to a server of this machine, past any proxy.

    Raises:
        OSError: The server cannot be reached, or answers with something else.
    """
    body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": dict(params)}).encode()
    ask = url_request.Request(url, data=body, headers={"Content-Type": "application/json"})
    direct = url_request.build_opener(url_request.ProxyHandler({}))
    try:
        with direct.open(ask, timeout=timeout) as response:
            answer = json.loads(response.read())
    except (url_error.URLError, ValueError) as error:
        raise OSError(f"{url} does not answer: {error}") from error
    if not isinstance(answer, dict):
        raise OSError(f"{url} does not answer as Odoo does")
    return answer


def password_hash(password: str) -> str:
    """The password as Odoo stores it: PBKDF2 with SHA-512 in passlib's notation, which every version reads."""
    salt = secrets.token_bytes(16)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _HASH_ROUNDS)
    notation = (base64.b64encode(part).decode().rstrip("=").replace("+", ".") for part in (salt, key))
    return f"$pbkdf2-sha512${_HASH_ROUNDS}$" + "$".join(notation)
