"""A test file is named after the module that it tests, or is listed here because it tests behaviour across modules."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "src" / "polyhead"
BEHAVIOUR = {
    "core": "lease_interleavings",
    "cli": "commands elastic labels_of_text masks messy_input nested own_files recorded_task score_files sentences study_workers",
    "models": "other_packages per_layer",
    "report": "curve_picture curve_table drawing examples figures_in_a_browser heads_in_a_browser hostile_names in_a_browser "
    "page_case report sentences_in_a_browser several_runs",
    "studies": "damage killed_workers many_sources what_a_run_guards what_a_run_keeps",
}


def test_a_test_file_names_a_module_of_its_room() -> None:
    rooms = [folder for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file() and folder.name != "phrases"]
    assert len(rooms) == 11
    for room in rooms:
        modules = {path.stem for path in room.iterdir()}
        names = {path.stem.removeprefix("test_") for path in (TESTS / room.name).glob("test_*.py")}
        listed = set(BEHAVIOUR.get(room.name, "").split())
        assert names - modules == listed, f"tests/{room.name}: rename the file after its module, or list it in BEHAVIOUR"
