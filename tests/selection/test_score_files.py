@pytest.mark.parametrize("name", ["s.json", "s.tsv"])
def test_scores_written_again_are_the_same_bytes(name: str, tmp_path: Path) -> None:
    scores = HeadScores(np.array([[0.5, 1.0]]), "gradient", n=3, forward_passes=1, backward_passes=2)
    write_scores(tmp_path / name, scores)
    write_scores(tmp_path / f"again-{name}", read_scores(tmp_path / name))
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()
