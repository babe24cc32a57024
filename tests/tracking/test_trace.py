"""`convzoo trace`: a summary of one screen, and everything with --full or --json."""

import json

from helpers.registered import identity_of, versions_of
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands.compare import compare
from convzoo.commands.trace import as_text, summary, trace
from convzoo.tracking import store
from convzoo.tracking.aliases import set_alias
from convzoo.tracking.versions import find_version


def test_the_summary_fits_on_a_screen_and_names_what_matters(network):
    set_alias(store.use_store(), network, "champion", "1")
    output = CliRunner().invoke(app, ["trace", network]).output
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in output.splitlines() if line}
    assert 12 <= len(output.splitlines()) <= 17 and max(map(len, output.splitlines())) < 200
    (version,) = versions_of(network)
    assert lines["version"].startswith(f"{network} 1 (candidate, champion), registered 20")
    assert lines["model"] == f"sha256 {version.tags['convzoo.model_sha256'][:16]}"
    assert version.run_id in lines["run"]
    assert lines["metrics"] == f"test_accuracy {float(version.tags['test_accuracy']):.4g}"
    params = identity_of(len(network))["params"]
    expected = ["family", "architecture", "optimizer", "learning_rate", "seed"]
    assert lines["training"] == ", ".join(f"{key} {params[key]}" for key in expected)
    assert lines["commit"] == "unknown"
    assert lines["rebuild"] == f"convzoo reproduce {network}@champion"


def test_full_and_json_have_the_rest(network):
    run = CliRunner().invoke
    everything = trace(network)
    assert json.loads(run(app, ["trace", network, "--json"]).output) == everything
    output = run(app, ["trace", network, "--full"]).output
    assert output == as_text(everything) + "\n"
    assert everything["params"]["fast"] == {"widths": [4, 8], "dirac": True}
    assert "widths" in output and "widths" not in summary(everything)


def test_the_summary_says_what_differed_from_the_commit(network):
    lineage = trace(network)
    lineage["code"] |= {"git commit": "c0ffee", "uncommitted changes": "params.yaml"}
    assert "commit    c0ffee, with changes to params.yaml" in summary(lineage).splitlines()
    lineage["code"]["uncommitted changes"] = "none"
    assert "snapshot" not in summary(lineage), "there is none"
    lineage["code"]["snapshot of the changes"] = "5" * 40
    assert f"snapshot  {'5' * 40}" in summary(lineage).splitlines()
    lineage["metrics"] = {"test_psnr": 23.456, "test_psnr_low": 23.0, "test_ssim": 0.9}
    text = summary(lineage)
    assert "commit    c0ffee" in text.splitlines() and "metrics   test_psnr 23.46, test_psnr_low 23" in text


def test_a_version_that_was_continued_from_another_training_names_it(network, monkeypatch):
    def found(*arguments):
        version = find_version(*arguments)
        version.lineage["identity"]["parent"] = {"fingerprint": "ab" * 32, "epoch": 3}
        return version

    assert "parent" not in trace(network)["run"]
    monkeypatch.setattr("convzoo.commands.trace.find_version", found)
    assert f"parent    epoch 3 of the training {'ab' * 32}" in summary(trace(network)).splitlines()


def test_a_run_is_compared_under_the_name_of_its_network(network):
    (version,) = versions_of(network)
    run = store.use_store().get_run(version.run_id)
    assert compare(version.run_id, f"{network}@v1")["names"] == [f"{network}: {run.info.run_name}", f"{network}@v1"]
