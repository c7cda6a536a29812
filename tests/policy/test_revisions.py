"""Revisions on disk: released, locked, loaded, exchanged while the gateway runs, and never lost."""

import subprocess
import sys
import threading
import time
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import PolicyError
from gateway.policy.lock import LOCK_FILE, parse_lock, render_lock
from gateway.releases import Released, TestsFailed, activate, load_released, read_lock, read_source, release
from gateway.revisions import KeptLastGood, Reloaded, Revisions
from tests.policy.sources import FULL, SMALL, TODAY, VPN

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOON


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A directory with one released revision that has a network file."""
    directory = tmp_path / "policies"
    (directory / "networks").mkdir(parents=True)
    (directory / "networks" / "vpn.txt").write_bytes(VPN)
    (directory / "0001-initial.toml").write_text(FULL)
    assert isinstance(release(directory, None, TODAY), Released)
    return directory


def add(policies: Path, name: str, text: str = SMALL) -> None:
    (policies / name).write_text(text)


def refusal(action) -> str:
    """What the action is refused with."""
    with pytest.raises(PolicyError) as caught:
        action()
    return "\n".join(f"{problem}\n{problem.hint}" for problem in caught.value.problems)


# --- the lock -------------------------------------------------------------------------------------------------


def test_lock_is_what_sha256sum_says(policies):
    """The lock holds what `sha256sum` prints for each file, and is plain TOML."""
    lock = tomllib.loads((policies / LOCK_FILE).read_text())
    names = ["0001-initial.toml", "networks/vpn.txt"]
    sums = subprocess.run(
        ["sha256sum", *names], cwd=policies, capture_output=True, text=True, check=True
    ).stdout.split()
    revision = lock["revisions"]["0001"]
    assert lock["active"] == "0001"
    assert [revision["sha256"], revision["networks"]["networks/vpn.txt"]] == sums[::2]


def test_digest_with_common_tools(policies):
    """The digest in a decision can be computed again with the shell commands of the manual."""
    script = """
    { echo "gateway policy digest 1"
      echo "$(sha256sum < 0001-initial.toml | cut -d' ' -f1)  policy"
      echo "$(sha256sum < networks/vpn.txt | cut -d' ' -f1)  networks/vpn.txt"
    } | sha256sum"""
    out = subprocess.run(["sh", "-c", script], cwd=policies, capture_output=True, text=True, check=True).stdout
    assert Revisions(policies, clock).active.ref.digest == "sha256:" + out.split()[0]


def test_lock_round_trip(policies):
    """A lock that is read and written again is the same file."""
    data = (policies / LOCK_FILE).read_bytes()
    assert render_lock(parse_lock(data, LOCK_FILE)).encode() == data


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("unknown key", "schema = 1", "schema = 1\nsigned = true", "unknown key 'signed'"),
        ("not released", 'active = "0001"', 'active = "0002"', "no released revision '0002'"),
        ("no active", 'active = "0001"\n', "", "active: is missing"),
        ("outside", '"networks/vpn.txt"', '"../vpn.txt"', "relative path"),
        ("other file", '"0001-initial.toml"', '"0002-initial.toml"', "not a file of revision"),
        ("path as file", '"0001-initial.toml"', '"../0001-initial.toml"', "not the name of a policy"),
        ("no digest", 'sha256 = "', 'sha256 = "x', "not a SHA-256"),
        ("half", "[revisions.0001]", "[revisions", "not TOML"),
    ],
)
def test_wrong_locks(policies, name, old, new, word):
    """A lock that is damaged or edited by hand is refused."""
    path = policies / LOCK_FILE
    path.write_text(path.read_text().replace(old, new))
    assert word in refusal(lambda: Revisions(policies, clock))


def test_forged_digest(policies):
    """A digest in the lock that does not follow from the digests of the files is refused."""
    path = policies / LOCK_FILE
    digest = Revisions(policies, clock).active.ref.digest
    path.write_text(path.read_text().replace(digest, "sha256:" + "0" * 64))
    assert "does not follow" in refusal(lambda: Revisions(policies, clock))


def test_no_lock(tmp_path):
    """A directory without a lock is refused, and the hint says how to make one."""
    assert "gateway policy release" in refusal(lambda: Revisions(tmp_path, clock))


@pytest.mark.parametrize("file", ["0001-initial.toml", "networks/vpn.txt"])
def test_altered_file(policies, file):
    """A released file that was changed is refused, by its name, with the way to a new revision."""
    with (policies / file).open("a") as stream:
        stream.write("# a comment\n")
    text = refusal(lambda: Revisions(policies, clock))
    assert f"{policies}/{file}: belongs to revision 0001 and was changed after its release" in text
    assert "0002-name.toml" in text


def test_missing_file(policies):
    """A released file that is gone is refused."""
    (policies / "networks" / "vpn.txt").unlink()
    assert "belongs to revision 0001 and cannot be read" in refusal(lambda: Revisions(policies, clock))


@pytest.mark.parametrize("file", ["0001-initial.toml", "networks/vpn.txt"])
def test_exchanged_between_check_and_use(policies, file):
    """What is judged by is what was verified: bytes that changed after the lock was checked are refused as well."""
    locked = read_lock(policies).revisions["0001"]
    with (policies / file).open("a") as stream:
        stream.write("# a comment\n")
    assert "changed after its release" in refusal(lambda: load_released(policies, locked, TODAY))


def test_expired_entry(policies):
    """A gateway does not start with a policy in which an entry is over."""
    late = datetime(2027, 2, 1, tzinfo=UTC)
    assert "networks.contractor[0].expires: expired on 2027-01-31" in refusal(lambda: Revisions(policies, lambda: late))


def test_links_out_of_the_directory(policies, tmp_path):
    """A network file that is a link to somewhere else is not read."""
    outside = tmp_path / "secret.txt"
    outside.write_bytes(VPN)
    (policies / "networks" / "out.txt").symlink_to(outside)
    add(policies, "0002-out.toml", FULL.replace("vpn.txt", "out.txt"))
    assert read_source(policies, "0002-out.toml").files == {"networks/out.txt": None}
    assert "cannot be read" in refusal(lambda: release(policies, None, TODAY))


def test_a_mount_of_links(policies, tmp_path):
    """Links that stay inside are followed, as in a mounted Kubernetes ConfigMap."""
    mount = tmp_path / "mount"
    (mount / "..2026_11_22").mkdir(parents=True)
    policies.rename(mount / "..2026_11_22" / "files")
    (mount / "..data").symlink_to("..2026_11_22/files")
    for name in ("0001-initial.toml", LOCK_FILE, "networks"):
        (mount / name).symlink_to(f"..data/{name}")
    assert Revisions(mount, clock).active.ref.revision == "0001"


# --- releasing ------------------------------------------------------------------------------------------------


def test_release_and_roll_back(policies):
    """A release makes the new revision active; `activate` goes back."""
    add(policies, "0002-small.toml")
    assert isinstance(release(policies, "0002", TODAY), Released)
    assert Revisions(policies, clock).active.ref.revision == "0002"
    assert isinstance(activate(policies, "0001", TODAY), Released)
    assert Revisions(policies, clock).active.ref.revision == "0001"


@pytest.mark.parametrize(
    ("name", "file", "text", "revision", "word"),
    [
        ("invalid", "0002-x.toml", SMALL + "x = 1", "0002", "unknown key"),
        ("unknown", "0002-x.toml", SMALL, "0003", "there is no revision '0003'"),
        ("other name", "0002-x.toml", SMALL, "0002-y.toml", "there is no revision"),
        ("released", "0002-x.toml", SMALL, "0001", "gateway policy activate 0001"),
        ("older", "0000-x.toml", SMALL, "0000", "is older than 0001"),
        ("number twice", "0001-x.toml", SMALL, "0001", "same number"),
        ("bad name", "2-x.toml", SMALL, None, "is not named like a policy"),
    ],
)
def test_refused_releases(policies, name, file, text, revision, word):
    """A release that is refused changes nothing."""
    before = (policies / LOCK_FILE).read_bytes()
    add(policies, file, text)
    assert word in refusal(lambda: release(policies, revision, TODAY))
    assert (policies / LOCK_FILE).read_bytes() == before


def test_release_needs_one_draft(policies):
    """Without a name, the one file that is not released is meant; none or several are refused."""
    assert "unreleased: none" in refusal(lambda: release(policies, None, TODAY))
    add(policies, "0002-a.toml")
    add(policies, "0003-b.toml")
    assert "unreleased: 0002, 0003" in refusal(lambda: release(policies, None, TODAY))


def test_failing_tests_stop_a_release(policies):
    """A revision that does not do what its own tests say is not released."""
    before = (policies / LOCK_FILE).read_bytes()
    add(policies, "0002-x.toml", FULL.replace('expect = "deny"', 'expect = "allow"'))
    assert isinstance(release(policies, "0002", TODAY), TestsFailed)
    assert (policies / LOCK_FILE).read_bytes() == before


def test_release_over_an_altered_file(policies):
    """Nothing is released beside a released file that was changed."""
    add(policies, "0001-initial.toml", SMALL)
    add(policies, "0002-x.toml")
    assert "changed after its release" in refusal(lambda: release(policies, "0002", TODAY))


def test_first_release_in_an_empty_lock(tmp_path):
    """An empty lock file is a damaged one, not a fresh start."""
    add(tmp_path, "0001-x.toml")
    (tmp_path / LOCK_FILE).touch()
    assert "schema: is missing" in refusal(lambda: release(tmp_path, None, TODAY))


def test_no_temporary_files_stay(policies):
    """After a release there is the lock, and nothing that was needed to write it."""
    assert sorted(path.name for path in policies.iterdir()) == ["0001-initial.toml", "networks", LOCK_FILE]


def test_full_disk(policies):
    """When the lock cannot be written, the old one stays as it was."""
    before = (policies / LOCK_FILE).read_bytes()
    add(policies, "0002-x.toml")
    # A limit on the size of files is a full disk that needs no privileges.
    code = f"""
import resource, signal
from datetime import date
from pathlib import Path
from gateway.errors import PolicyError
from gateway.releases import release
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    release(Path({str(policies)!r}), "0002", date(2026, 11, 22))
except PolicyError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "policies.lock: cannot be written: File too large" in out
    assert (policies / LOCK_FILE).read_bytes() == before
    assert len(list(policies.iterdir())) == 4


# --- a running gateway ----------------------------------------------------------------------------------------


def test_reload_takes_up_a_release(policies):
    """A release is taken up by a reload; subscribers are told, and the status says since when."""
    revisions = Revisions(policies, clock)
    told: list[object] = []
    revisions.subscribe(told.append)
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    outcome = revisions.reload()
    assert outcome == Reloaded(revisions.active, changed=True)
    assert told == [outcome]
    status = revisions.status
    assert (status.revision, status.digest, status.loaded_at) == ("0002", revisions.active.ref.digest, NOON)


def test_reload_without_a_change(policies):
    """A reload of the same files keeps the same policy object and tells nobody."""
    revisions = Revisions(policies, clock)
    told: list[object] = []
    revisions.subscribe(told.append)
    before = revisions.active
    assert revisions.reload() == Reloaded(before, changed=False)
    assert revisions.active is before
    assert told == []


def test_last_good_one_stays(policies):
    """When the files are wrong the last good policy stays, the status says why, and subscribers hear it once."""
    revisions = Revisions(policies, clock)
    told: list[object] = []
    revisions.subscribe(told.append)
    before = revisions.active
    text = (policies / "0001-initial.toml").read_text()
    add(policies, "0001-initial.toml", text + "# changed")
    outcome = revisions.reload()
    assert isinstance(outcome, KeptLastGood)
    revisions.reload()
    assert revisions.active is before
    assert told == [outcome]
    assert "changed after its release" in revisions.status.problems[0].message
    add(policies, "0001-initial.toml", text)
    assert revisions.reload() == Reloaded(before, changed=False)
    assert revisions.status.problems == ()


def test_released_policy_that_is_wrong_today(policies):
    """A revision whose entry has expired is not taken up; the active one stays."""
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    now = [NOON]
    revisions = Revisions(policies, lambda: now[0])
    activate(policies, "0001", TODAY)
    now[0] = NOON + timedelta(days=365)
    outcome = revisions.reload()
    assert isinstance(outcome, KeptLastGood)
    assert outcome.problems[0].message == "expired on 2027-01-31"
    assert revisions.active.ref.revision == "0002"


def test_looking_again_after_a_failure(policies):
    """While the files are wrong every look is an attempt, also when they look the same; else only a change is."""
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    now = [NOON]
    revisions = Revisions(policies, lambda: now[0])
    assert revisions.reload_if_changed() is None
    activate(policies, "0001", TODAY)
    now[0] = NOON + timedelta(days=365)
    assert isinstance(revisions.reload_if_changed(), KeptLastGood)
    now[0] = NOON
    assert revisions.reload_if_changed() == Reloaded(revisions.active, changed=True)
    assert revisions.reload_if_changed() is None


def test_a_subscriber_that_fails(policies):
    """A subscriber that raises keeps neither the others from being told nor the policy from being exchanged."""
    revisions = Revisions(policies, clock)
    told: list[object] = []
    revisions.subscribe(lambda _: 1 / 0)
    revisions.subscribe(told.append)
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    assert isinstance(revisions.reload(), Reloaded)
    assert len(told) == 1


def wait_for(condition, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_watching(policies):
    """A running gateway takes up a release by itself, and stops looking when it is closed."""
    revisions = Revisions(policies, clock)
    revisions.watch(interval=0.02)
    try:
        add(policies, "0002-small.toml")
        release(policies, "0002", TODAY)
        assert wait_for(lambda: revisions.active.ref.revision == "0002")
        add(policies, "0001-initial.toml", SMALL)
        assert wait_for(lambda: revisions.status.problems)
        add(policies, "0001-initial.toml", FULL)
        assert wait_for(lambda: not revisions.status.problems)
    finally:
        revisions.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "gateway-policy-watch"]


def test_watching_half_written_files(policies):
    """Files that arrive in pieces are taken up when they are whole, and never before."""
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    new = (policies / LOCK_FILE).read_bytes()
    activate(policies, "0001", TODAY)
    revisions = Revisions(policies, clock)
    seen: set[str] = set()
    revisions.subscribe(lambda _: seen.add(revisions.active.ref.revision))
    revisions.watch(interval=0.005)
    try:
        with (policies / LOCK_FILE).open("wb", buffering=0) as stream:
            for start in range(0, len(new), 40):
                stream.write(new[start : start + 40])
                time.sleep(0.01)
        assert wait_for(lambda: revisions.active.ref.revision == "0002" and not revisions.status.problems)
    finally:
        revisions.close()
    assert seen <= {"0001", "0002"}


def test_closing_from_a_subscriber(policies):
    """A subscriber may close the revisions that call it."""
    revisions = Revisions(policies, clock)
    revisions.subscribe(lambda _: revisions.close())
    revisions.watch(interval=0.01)
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    assert wait_for(lambda: not any(thread.name == "gateway-policy-watch" for thread in threading.enumerate()))


def test_reading_while_reloading(policies):
    """Whoever reads the active policy gets a whole one, old or new, however often it is exchanged."""
    add(policies, "0002-small.toml")
    release(policies, "0002", TODAY)
    revisions = Revisions(policies, clock)
    titles = {"0001": "Finance tools", "0002": "T"}
    wrong: list[str] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            time.sleep(0)  # leaves the interpreter to the reloading thread
            policy = revisions.active
            if policy.title != titles[policy.ref.revision]:
                wrong.append(policy.title)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(8):
        activate(policies, f"000{turn % 2 + 1}", TODAY)
        revisions.reload()
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_the_policy_that_we_ship():
    """The bundled policy is released, valid on any day, passes its own tests, and sets nothing that is not enforced."""
    from gateway.policy.examples import run_tests
    from gateway.policy.parse import unenforced

    directory = Path(__file__).parents[2] / "policies"
    policy = Revisions(directory, lambda: datetime(2040, 1, 1, tzinfo=UTC)).active
    outcomes = run_tests(policy)
    assert outcomes
    assert [outcome.differences for outcome in outcomes if not outcome.passed] == []
    assert policy.membership.names("127.0.0.1", date(2040, 1, 1)) == {"loopback"}
    assert not policy.membership.names("192.0.2.1", date(2040, 1, 1))
    assert unenforced(read_source(directory, "0001-initial.toml")) == ()
