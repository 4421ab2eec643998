"""A real PostgreSQL for demonstrations and tests: a wheel's binaries, run as an ordinary process. Linux. A shell.

One folder holds everything that lasts: `data/`, `postgresql.log` of this start, a lock. Beside it stands
one short private directory in /tmp with the socket, removed at the stop. Production gives a DSN instead.

- Folders with spaces, or below parents that the server's account may not enter, are reached through an
  open descriptor: `-D /proc/self/fd/N`. So no mode and no owner that was there before is changed.
- As root the server runs under another account, from a copy of its programs in that private directory.
- There is no TCP port and no password: the socket lets in only the operating-system user who started it.
"""

import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from cloud_trainer.embedded_account import Account, server_account, server_programs
from cloud_trainer.embedded_runtime import lock, runtime_directory
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import ConflictError, SettingError

# Recovery after a power cut replays at most max_wal_size below: seconds, even from a card.
START_S_MAX = 60.0
# Programs must end within five seconds of SIGTERM. A server that has not checkpointed by then is ended
# as by a power cut: what was committed is in its log and is replayed at the next start.
STOP_S_MAX = 3.0
_POLL_S = 0.01

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_USER = "smartwatts"
_DATABASE = "postgres"
_INITDB_OPTIONS = (
    "--username=" + _USER, "--auth=peer", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
)  # fmt: skip
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Ingest takes 8, audit and score one each; the rest is for people.
    "max_connections": "40",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "io_method": "sync",  # worker processes do not pay at this size
    # Parallel workers share memory in /dev/shm, which containers make small.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    # Statements carry customers' readings: they do not belong in a log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


class EmbeddedPostgres:
    """`with EmbeddedPostgres(folder) as dsn:` a server on the data in `folder`, made when missing.

    Start it from a thread that lasts: the server stops by itself when that thread or the process dies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "postgresql.log"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server and return its DSN (which holds no secret).

        Raises:
            ConflictError: the folder is in use.
            SettingError: it cannot be used, or the server did not start.
        """
        try:
            with contextlib.ExitStack() as stack:
                dsn = self._start(stack)
                self._stack = stack.pop_all()
        except (OSError, subprocess.SubprocessError) as error:
            raise self._failed(f"PostgreSQL cannot be started there: {error}") from error
        return dsn

    def stop(self) -> None:
        """Stop the server; of it nothing remains outside the folder."""
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> str:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(_only_one(self._folder))
        account = server_account(self._data)
        runtime = stack.enter_context(runtime_directory())
        self._admit_ourselves(runtime, account)
        programs = server_programs(runtime, account)
        if not self._data.exists():
            self._create_data(programs, account)
        _end_orphan(self._data)
        data = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, data)
        with self._log.open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", f"/proc/self/fd/{data}", *_options(runtime)],
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(data,),
                cwd="/",
                env=_ENVIRONMENT,
                # Its own session: Ctrl-C in a terminal reaches us, and we stop it after our last commit.
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        stack.callback(_end, server)
        self._wait_until_ready(server)
        return f"host={runtime} user={_USER} dbname={_DATABASE}"

    def _admit_ourselves(self, runtime: Path, account: Account) -> None:
        """Write who may connect: the user who runs this program, over the socket in `runtime`."""
        for name, text in (
            ("pg_hba.conf", f"local all {_USER} peer map=owner\n"),
            ("pg_ident.conf", f'owner "{self._our_name()}" {_USER}\n'),
        ):
            (runtime / name).write_text(text)
            account.own(runtime / name)
        account.own(runtime)

    def _our_name(self) -> str:
        try:
            return pwd.getpwuid(os.geteuid()).pw_name.replace('"', '""')
        except KeyError as error:
            raise self._failed(f"the user id {os.geteuid()} has no name on this machine") from error

    def _create_data(self, programs: Path, account: Account) -> None:
        # Under another name until it is whole: a kill in between leaves a draft, not half a database.
        draft = self._folder / "data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        account.own(draft)
        descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
        try:
            made = subprocess.run(
                [programs / "initdb", "-D", f"/proc/self/fd/{descriptor}", *_INITDB_OPTIONS],
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                pass_fds=(descriptor,),
                cwd="/",
                env=_ENVIRONMENT,
                timeout=START_S_MAX,
            )
        finally:
            os.close(descriptor)
        if made.returncode:
            raise self._failed(f"initdb failed: {_last_line(made.stderr)}")
        draft.rename(self._data)

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        """As pg_ctl does: the eighth line of postmaster.pid says when connections are let in."""
        clock = SystemClock()
        deadline_s = clock.monotonic_s() + START_S_MAX
        while clock.monotonic_s() < deadline_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(_POLL_S)
                raise self._failed(f"PostgreSQL ended: {_last_line(self._log.read_text(errors='replace'))}")
            with contextlib.suppress(FileNotFoundError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if len(lines) > 7 and lines[0] == str(server.pid) and lines[7].strip() == "ready":
                    return
        raise self._failed(f"PostgreSQL was not ready after {START_S_MAX:.0f} s")

    def _failed(self, problem: str) -> SettingError:
        return SettingError(
            "embedded", str(self._folder), problem, f"see {self._log.name} there, or use a server with --dsn"
        )


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Only one process at a time serves a folder."""
    try:
        held = lock(folder / "lock", os.O_CREAT)
    except BlockingIOError as error:
        next_step = "stop that one, or give another folder"
        raise ConflictError("embedded", str(folder), "is in use by another process", next_step) from error
    try:
        yield
    finally:
        os.close(held)


def _options(runtime: Path) -> list[str]:
    places = {
        "unix_socket_directories": runtime,
        "hba_file": runtime / "pg_hba.conf",
        "ident_file": runtime / "pg_ident.conf",
    }
    return [f"--{name}={value}" for name, value in (_SETTINGS | places).items()]


def _die_with_parent() -> Callable[[], object]:
    """What the child calls before it becomes PostgreSQL: a fast shutdown when our process dies."""
    libc = ctypes.CDLL(None)
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>; survives exec, not a change of user
    return lambda: libc.prctl(set_parent_death_signal, signal.SIGINT)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Fast shutdown; past the deadline an immediate one; past that a kill."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S_MAX)
            return


def _end_orphan(data: Path) -> None:
    """End the server of a start that was killed; forget a process id that now belongs to something else.

    We hold the folder's lock, so a server found here has lost its parent.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return  # PostgreSQL itself clears up after a process that is gone
    try:
        if not _works_in(pid, data):
            (data / "postmaster.pid").unlink()
            return
        for how in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, how)
            if select.select([process], [], [], STOP_S_MAX)[0]:
                return
    finally:
        os.close(process)


def _works_in(pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    return False


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
