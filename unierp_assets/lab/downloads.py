"""Debian packages without installing them: a private view of one suite, download, unpack.

What belongs here: the machine's own apt sources turned towards another suite, and the packages' files put into a
folder. What does not: which packages, and what they are for. No archive is named here: the machine knows its own.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unierp_assets.lab.errors import OWN_ODOO, LabError
from unierp_assets.lab.processes import run
from unierp_assets.lab.progress import Detail

_STABLE_NAMES = {"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"}
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
# One-line options and the fields of the newer format that say the same.
_OPTION_FIELDS = {"signed-by": "Signed-By", "trusted": "Trusted", "check-valid-until": "Check-Valid-Until"}
# Languages the web client can be switched to: two thirds of a package's size.
_LEFT_OUT = ("*/i18n/*.po", "*/i18n_extra/*", "./usr/share/doc/*", "./usr/share/lintian/*")


@dataclass(frozen=True, slots=True)
class Source:
    """One apt source: the fields of its stanza, in the format of ``sources.list.d/*.sources``."""

    fields: tuple[tuple[str, str], ...]

    @property
    def suites(self) -> tuple[str, ...]:
        return tuple(dict(self.fields).get("Suites", "").split())

    def turned_to(self, suite: str) -> str:
        """The same archive's stanza for another suite."""
        changed = {"Types": "deb", "Suites": suite, "Components": "main"}
        kept = [(name, value) for name, value in self.fields if name not in changed and name != "Enabled"]
        return "".join(f"{name}: {value}\n" for name, value in [*changed.items(), *kept])


def read_sources(text: str, *, one_line: bool) -> list[Source]:
    """The package sources of one file of apt's configuration; disabled ones and source-code ones are left out.

    Args:
        one_line: Whether the file is in the one-line format (``*.list``) or in stanzas (``*.sources``).
    """
    found = _one_line_sources(text) if one_line else _stanza_sources(text)
    return [source for source in found if source.suites]


def _one_line_sources(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match:
            fields = [("URIs", match["uri"]), ("Suites", match["suite"]), ("Components", match["components"])]
            for option in (match["options"] or "").split():
                name, _, value = option.partition("=")
                if name.lower() in _OPTION_FIELDS:
                    fields.append((_OPTION_FIELDS[name.lower()], value))
            yield Source(tuple(fields))


def _stanza_sources(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: list[tuple[str, str]] = []
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t" and fields:
                # A continued value, such as a key given in the file itself.
                name, value = fields[-1]
                fields[-1] = (name, f"{value}\n{line}")
            elif ":" in line:
                name, _, value = line.partition(":")
                fields.append((name.strip(), value.strip()))
        values = dict(fields)
        if "deb" in values.get("Types", "").split() and values.get("Enabled", "yes").lower() not in {"no", "false"}:
            yield Source(tuple(fields))


def debian_sources(sources: Sequence[Source], codename: str) -> list[Source]:
    """Those that may lead to Debian's archive of releases, the likeliest first.

    A source of security updates has other suites, and one of a single vendor only its own.
    """
    releases = {codename, *_STABLE_NAMES}
    candidates = [source for source in sources if not any("security" in suite for suite in source.suites)]
    return [source for source in candidates if releases & set(source.suites)]


def machine_sources() -> list[Source]:
    """The sources this machine's apt uses."""
    shell = run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"], "apt")
    places = dict(re.findall(r"^(LIST|PARTS)='(.*)'$", shell, flags=re.MULTILINE))
    files = [Path(places["LIST"])] if "LIST" in places else []
    if "PARTS" in places and Path(places["PARTS"]).is_dir():
        files += sorted(Path(places["PARTS"]).iterdir())
    found: list[Source] = []
    for file in files:
        if file.is_file() and file.suffix in {".list", ".sources"}:
            found += read_sources(file.read_text(encoding="utf-8", errors="replace"), one_line=file.suffix == ".list")
    return found


def _codename() -> str:
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r'^VERSION_CODENAME="?([\w.-]+)"?$', release, flags=re.MULTILINE)
    return match[1] if match else ""


class AptView:
    """One suite as apt sees it, in a folder of its own: the machine's apt is neither changed nor asked for rights."""

    def __init__(self, folder: Path, source: Source, suite: str) -> None:
        self.folder = folder
        parts = folder / "parts"
        for needed in (parts, folder / "lists/partial", folder / "cache/archives/partial", folder / "preferences"):
            needed.mkdir(parents=True, exist_ok=True)
        (parts / "suite.sources").write_text(source.turned_to(suite), encoding="utf-8")
        # No package counts as installed: apt would otherwise prefer the machine's own, newer version.
        (folder / "status").touch()
        self._options = [
            *("-o", "Dir::Etc::sourcelist=/dev/null"),
            *("-o", f"Dir::Etc::sourceparts={parts}"),
            *("-o", "Dir::Etc::preferences=/dev/null"),
            *("-o", f"Dir::Etc::preferencesparts={folder / 'preferences'}"),
            *("-o", f"Dir::State={folder}"),
            *("-o", f"Dir::State::lists={folder / 'lists'}"),
            *("-o", f"Dir::State::status={folder / 'status'}"),
            *("-o", f"Dir::Cache={folder / 'cache'}"),
            *("-o", "Acquire::Languages=none"),
            *("-o", "Acquire::Retries=3"),
        ]
        if os.geteuid() == 0:
            # apt's own download user may not reach a folder below somebody's home.
            self._options += ["-o", "APT::Sandbox::User=root"]

    def update(self) -> None:
        """Fetch the list of packages. Hooks of the machine's apt may fail for want of rights; the list decides."""
        done = subprocess.run(
            ["apt-get", *self._options, "update"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        self.last_error = done.stderr.strip().splitlines()[-1:] if done.returncode else []

    def available(self, packages: Sequence[str]) -> list[str]:
        """Those of the packages that the suite has."""
        policy = run(["apt-cache", *self._options, "policy", *packages], "Reading the list of packages")
        with_candidate = re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (?!\(none\))", policy, flags=re.MULTILINE)
        return [package for package in packages if package in with_candidate]

    def download(self, packages: Sequence[str], into: Path) -> list[Path]:
        """Fetch the packages' files."""
        into.mkdir(parents=True, exist_ok=True)
        run(["apt-get", *self._options, "download", *packages], f"Downloading {packages[0]}", cwd=into)
        return sorted(into.glob("*.deb"))


def fetch_packages(
    suite: str, package: str, companions: Sequence[str], into: Path, workspace: Path, detail: Detail
) -> str:
    """Put the files of Debian packages into a folder.

    Args:
        suite: The Debian suite, such as ``sid``.
        package: The package without which nothing works.
        companions: Packages that are taken where the suite has them.
        into: Becomes the root folder of the unpacked files.
        workspace: An empty folder for the view and the downloads; the caller removes it.

    Returns:
        The version of ``package``.

    Raises:
        LabError: There is no apt, no source with the package, or a download failed; says what to do instead.
    """
    missing = [program for program in ("apt-get", "dpkg-deb", "tar") if shutil.which(program) is None]
    if missing:
        raise LabError(f"This machine has no {missing[0]}, by which the lab takes {package} from Debian; {OWN_ODOO}.")
    reason = "this machine's apt has no source of Debian releases"
    for number, source in enumerate(debian_sources(machine_sources(), _codename())):
        view = AptView(workspace / f"view{number}", source, suite)
        detail("reading the list of packages")
        view.update()
        if not view.available([package]):
            reason = view.last_error[0] if view.last_error else f"the suite {suite} does not have it"
            continue
        detail("downloading")
        try:
            files = view.download(view.available([package, *companions]), workspace / "packages")
        except LabError as error:
            reason = str(error)
            continue
        for file in files:
            detail(f"unpacking {file.name.partition('_')[0]}")
            _unpack(file, into)
        own = next(file for file in files if file.name.startswith(f"{package}_"))
        return run(["dpkg-deb", "--field", own, "Version"], f"Reading {own.name}").strip()
    raise LabError(f"Cannot get {package} from Debian ({reason}); try again later, or {OWN_ODOO}.")


def _unpack(package: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    exclusions = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as archive:
        run(
            ["tar", "-x", "-C", into, "--no-same-owner", *exclusions],
            f"Unpacking {package.name}",
            stdin=archive.stdout,
        )
    if archive.returncode:
        raise LabError(f"Unpacking {package.name} failed: the downloaded file is damaged; run the command again.")
