"""``python -m scripts.trade_off``."""

import json
from dataclasses import replace

import pytest

from model.configurations import mca_mlp, tiny_mca
from scripts import trade_off


def test_variants_turn_one_lever_each():
    variants = trade_off.variants(mca_mlp)
    assert variants["as_configured"] == mca_mlp
    changed = [variant for name, variant in variants.items() if name != "as_configured"]
    assert len(set(changed)) == len(changed) == 11
    assert all(replace(variant, update=mca_mlp.update) == mca_mlp for variant in changed)
    assert all(variant != mca_mlp for variant in changed)


def test_a_finished_variant_is_not_trained_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trade_off, "variants", lambda config: {"as_configured": config})

    def study(epochs):
        trade_off.main("tiny_mca", epochs=epochs, seed=7, data="mnist-sample", out=tmp_path)
        return capsys.readouterr().out

    first = study(1)
    path = tmp_path / "trade_off_as_configured" / "activity.json"
    record = json.loads(path.read_text())
    assert record["images"] == 2500
    assert record["config"] == tiny_mca.name
    assert f"{100 * record['test_accuracy']:.2f} %" in first

    with monkeypatch.context() as context:
        context.setattr(trade_off, "Training", None)
        assert study(1) == first
        with pytest.raises(TypeError):
            study(2)
