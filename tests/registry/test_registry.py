"""Aliases are moved by compare-and-swap: in a folder and on a real server, with deaths and rivals."""

import json
import os
import uuid

import pytest

from harness.chain import Chain
from harness.errors import LedgerError, RegistryConflict, RegistryError
from harness.registry import Registry, claims
from harness.registry.claims import Claims
from registries import FORKS, add_version, in_child, moving

STEPS = ("line", "ticket", "tags", "moving", "alias", "moved", "ticket closed")
"""What a move writes, in this order."""


@pytest.fixture
def name():
    """A model of this test's own: all tests share one server."""
    return f"model-{uuid.uuid4().hex[:8]}"


def move(registry, name, version, expected, alias="production", **options):
    registry.move_alias(name, alias, version, expected=expected, why="promoted", **options)


def events(registry):
    return [entry["event"] for entry in Chain(registry.store.folder / "moves.jsonl").entries()]


class TestRegistry:
    def test_an_alias_goes_from_version_to_version_and_back(self, registry, name):
        first = add_version(registry, name)
        second = add_version(registry, name)
        assert registry.version_at(name, "production") is None
        move(registry, name, first, None, facts={"ledger": "ab12"})
        move(registry, name, second, first)
        at = registry.version_at(name, "production")
        assert (at.version, at.aliases, at.reference) == (second, ("production",), f"models:/{name}/{second}")
        assert registry.previous(name, "production") == first
        move(registry, name, registry.previous(name, "production"), second)
        assert registry.aliases(name) == {"production": first}
        assert registry.version(name, first).tags["harness.production.ledger"] == "ab12"
        entries = list(Chain(registry.store.folder / "moves.jsonl").entries())
        assert [(entry["from"], entry["to"]) for entry in entries if entry["event"] == "moving"] == [
            (None, first), (first, second), (second, first),
        ]  # fmt: skip
        assert events(registry) == ["moving", "moved"] * 3
        assert entries[0]["ledger"] == "ab12"

    def test_an_alias_is_taken_away(self, registry, name):
        only = add_version(registry, name)
        move(registry, name, only, None)
        move(registry, name, None, only)
        assert registry.aliases(name) == {}
        assert registry.previous(name, "production") == only
        with pytest.raises(RegistryError, match="nothing to move"):
            move(registry, name, None, None)

    def test_it_is_moved_only_from_where_it_was_believed_to_be(self, registry, name):
        first = add_version(registry, name)
        second = add_version(registry, name)
        move(registry, name, first, None)
        with pytest.raises(RegistryConflict, match=f"is at version {first}, no longer at no version"):
            move(registry, name, second, None)
        with pytest.raises(RegistryConflict, match=f"no longer at version {second}"):
            move(registry, name, second, second)
        assert registry.aliases(name) == {"production": first}
        assert registry.previous(name, "production") is None

    def test_the_same_move_again_is_none(self, registry, name):
        only = add_version(registry, name)
        move(registry, name, only, None)
        move(registry, name, only, only)
        assert registry.aliases(name) == {"production": only}
        assert registry.previous(name, "production") is None

    def test_of_two_at_once_one_wins_and_the_other_is_told(self, registry, name, tmp_path):
        versions = [add_version(registry, name) for _ in range(2)]
        children = [
            FORKS.Process(
                target=racing,
                # A log each, as two machines have it.
                args=(
                    registry.store.registry,
                    tmp_path / f"log-{version}",
                    name,
                    version,
                    tmp_path / version,
                ),
            )
            for version in versions
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(600)
        told = sorted((tmp_path / version).read_text() for version in versions)
        assert told[1] == "won"
        assert "somebody else moved it" in told[0] or "is being moved right now" in told[0]
        assert (tmp_path / registry.aliases(name)["production"]).read_text() == "won"

    @pytest.mark.slow
    def test_killed_at_any_step_the_same_move_finishes(self, registry, name):
        old, new = add_version(registry, name), add_version(registry, name)
        move(registry, name, old, None)
        place, step, at, ends = (registry.store.registry, registry.store.folder), 0, old, set()
        while (code := in_child(moving, *place, step, name, new, at)) != 0:
            assert code == -9
            assert step < 20
            step, at = step + 1, registry.aliases(name)["production"]
            ends.add(at)
            # Whole at every moment: the old version, or the new one with its evidence.
            assert at == old or registry.version(name, at).tags["harness.production.ledger"] == "ab"
            move(registry, name, new, at)
            move(registry, name, old, new)
            at = old
        assert ends == {old, new}
        assert step == len(STEPS)
        assert registry.aliases(name) == {"production": new}
        assert registry.previous(name, "production") == old
        log = list(Chain(registry.store.folder / "moves.jsonl").entries())
        begun = {entry["digest"] for entry in log if entry["event"] == "moving"}
        settled = {entry["of"]: entry for entry in log if entry["event"] != "moving"}
        assert begun == set(settled)
        later = [entry["event"] for entry in settled.values() if entry["settled_later"]]
        assert set(later) == {"moved", "not moved"}

    def test_an_open_ticket_of_a_process_that_lives_holds_others_off(self, registry, name):
        only = add_version(registry, name)
        rivals = Claims(registry.client, name, lambda: registry.aliases(name))
        told = "is being moved right now, by rival at"
        with rivals.claim("production", None, only, "rival"), pytest.raises(RegistryConflict, match=told):
            move(registry, name, only, None)
        move(registry, name, only, None)

    def test_a_ticket_that_this_process_dropped_holds_nobody_off(self, registry, name, monkeypatch):
        only = add_version(registry, name)
        cut_off = Claims(registry.client, name, lambda: registry.aliases(name))
        monkeypatch.setattr(cut_off, "_close", lambda ticket, state: None)
        with cut_off.claim("production", None, only, "cut off"):
            pass
        move(registry, name, only, None)
        assert registry.aliases(name) == {"production": only}

    @pytest.mark.parametrize("moved", [False, True])
    def test_an_open_ticket_of_another_machine_is_passed_over_in_time(
        self, registry, name, monkeypatch, moved
    ):
        first = add_version(registry, name)
        second = add_version(registry, name)
        rivals = Claims(registry.client, name, lambda: registry.aliases(name))
        monkeypatch.setattr(claims, "this_process", lambda: "elsewhere 1 1")
        monkeypatch.setattr(rivals, "_close", lambda ticket, state: None)  # it died
        with rivals.claim("production", None, first, "rival"):
            if moved:
                registry.client.set_registered_model_alias(name, "production", first)
        monkeypatch.undo()
        at = first if moved else None
        with pytest.raises(RegistryConflict, match="right now"):
            move(registry, name, second, at)
        monkeypatch.setattr(claims, "LEASE_S", 0.0)
        move(registry, name, second, at)
        assert registry.previous(name, "production") == at

    def test_a_holder_that_took_too_long_gives_up(self, registry, name, monkeypatch):
        only = add_version(registry, name)
        monkeypatch.setattr(claims, "HOLD_S", 0.0)
        with pytest.raises(RegistryConflict, match="took too long"):
            move(registry, name, only, None)
        assert registry.aliases(name) == {}
        monkeypatch.undo()
        move(registry, name, only, None)
        assert events(registry) == ["moving", "not moved", "moving", "moved"]

    def test_what_is_not_there_is_told_with_what_is(self, registry, name):
        with pytest.raises(RegistryError, match=f"no model {name}; there:"):
            registry.version_at(name, "production")
        only = add_version(registry, name)
        move(registry, name, only, None, alias="staging")
        with pytest.raises(
            RegistryError, match=rf"{name} has no alias production; there: {name}@staging \(version {only}\)"
        ):
            registry.resolve(f"models:/{name}@production")
        with pytest.raises(RegistryError, match=f"has no version 77; there: {only}"):
            registry.resolve(f"models:/{name}/77")
        with pytest.raises(RegistryError, match="no name for a registered model"):
            registry.aliases("a'b")
        with pytest.raises(RegistryError, match="write models:/NAME@ALIAS or models:/NAME/VERSION"):
            registry.resolve("models:name")
        assert name in registry.names()
        assert not [found for found in registry.names() if found.endswith(".moves")]


def racing(uri, folder, name, version, told):
    """Two of these start at once; each writes what became of it."""
    try:
        move(Registry(uri, folder), name, version, None)
        told.write_text("won")
    except RegistryConflict as error:
        told.write_text(str(error))


def test_a_registry_that_is_not_there_is_not_made_by_reading(tmp_path):
    registry = Registry(str(tmp_path / "none"))
    assert registry.names() == []
    with pytest.raises(RegistryError, match="no registry here; make one with: harness promote"):
        registry.resolve("models:/report-generator@production")
    assert not (tmp_path / "none").exists()


def test_a_server_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = Registry("http://user:secret@127.0.0.1:9", tmp_path)
    with pytest.raises(RegistryError, match="does not answer") as error:
        registry.aliases("model")
    assert "secret" not in str(error.value)
    assert error.value.exit_code == 3


def test_a_changed_log_stops_every_move(local_registry):
    only = add_version(local_registry, "model")
    move(local_registry, "model", only, None)
    log = local_registry.store.folder / "moves.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([json.dumps({**json.loads(lines[0]), "by": "nobody"}), *lines[1:]]) + "\n")
    with pytest.raises(LedgerError, match=r"moves\.jsonl:1: was changed"):
        move(local_registry, "model", None, only)
    assert local_registry.aliases("model") == {"production": only}


def test_a_process_is_known_by_machine_boot_and_start():
    assert not claims.is_dead(claims.this_process())
    machine, pid, started = claims.this_process().split()
    assert claims.is_dead(f"{machine} {pid} {int(started) - 1}")
    assert claims.is_dead(f"{machine} {2**22 + 1} 5")
    assert not claims.is_dead(f"elsewhere {pid} 5")
    assert not claims.is_dead("")
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    assert claims.is_dead(f"{machine} {child} {started}")
    os.waitpid(child, 0)
