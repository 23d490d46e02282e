"""What another user may do with a file, by the modes of the file and the folders above it."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

_READ, _WRITE, _SEARCH = 4, 2, 1


@dataclass(frozen=True, slots=True)
class User:
    """A user, with the ids of all its groups."""

    name: str
    uid: int
    groups: frozenset[int]


def find_user(name: str) -> User | None:
    """Return the user of that name; None without one."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = {each.gr_gid for each in grp.getgrall() if name in each.gr_mem}
    return User(name, entry.pw_uid, frozenset({entry.pw_gid, *groups}))


def this_user() -> User:
    """Return the user that runs this process."""
    return User(getpass.getuser(), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def may_read(user: User, path: Path) -> bool | None:
    """Whether the user may read the file or folder; None if this process may not find out."""
    return _may(user, path, _READ | _SEARCH if path.is_dir() else _READ)


def may_write(user: User, folder: Path) -> bool | None:
    """Whether the user may write there or create the folder; None if this process may not find out."""
    for place in (folder, *folder.absolute().parents):
        try:
            place.lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return _may(user, place, _WRITE | _SEARCH)
    return None


def _may(user: User, path: Path, wanted: int) -> bool | None:
    if user.uid == 0:
        return True
    try:
        path = path.resolve(strict=True)
        above = [_has(user, folder, _SEARCH) for folder in path.parents]
        return all(above) and _has(user, path, wanted)
    except OSError:
        return None


def _has(user: User, path: Path, wanted: int) -> bool:
    """Whether the file mode gives these rights; access control lists are ignored."""
    status = path.stat()
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid in user.groups else 0
    return status.st_mode >> shift & wanted == wanted
