import hashlib
import json
import runpy
from pathlib import Path

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config

from mmagic_inik.checkpoints import load_checkpoint_file
from mmagic_inik.engine.shipping import export_weights
from mmagic_inik.errors import InputError
from mmagic_inik.restoration import load_restorer

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs/iniknet_demo.py'


@pytest.fixture
def checkpoint(tmp_path):
    model = MODELS.build(Config.fromfile(CONFIG).model)
    path = tmp_path / 'iter_7.pth'
    content = dict(meta=dict(iter=7), state_dict=model.state_dict(), optimizer={})
    torch.save(content, path)
    return path, model


def test_card_and_weights_make_the_network_again(checkpoint, tmp_path):
    path, model = checkpoint
    out = tmp_path / 'shipped.pth'
    export_weights(str(path), out, CONFIG, dict(commit='1234abc'))
    card = json.loads((tmp_path / 'shipped.json').read_text())
    assert card['sha256'] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (card['config'], card['iterations']) == ('iniknet_demo', 7)
    assert card['remarks'] == dict(commit='1234abc')
    content = torch.load(out, weights_only=True)
    assert content['meta'] == dict(iter=7)
    weights = content['state_dict']
    safe = out.with_suffix('.safetensors')
    assert card['safetensors_sha256'] == hashlib.sha256(safe.read_bytes()).hexdigest()
    again = load_checkpoint_file(str(safe))
    assert again['meta'] == dict(iter=7)
    assert again['card']['generator'] == card['generator']
    torch.testing.assert_close(again['state_dict'], weights, rtol=0, atol=0)
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert MODELS.build(card['generator']).state_dict().keys() == {
        name.removeprefix('generator.') for name in weights
    }
    # The tools take the file with its config.
    restorer = load_restorer(str(CONFIG), str(out))
    y = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            restorer.generator(y), model.generator(y), atol=1e-3, rtol=0
        )


def test_nothing_is_written_of_what_cannot_be_shipped(checkpoint, tmp_path):
    path, model = checkpoint
    out = tmp_path / 'shipped.pth'
    small = ROOT / 'configs/iniknet_small_synthetic.py'
    with pytest.raises(InputError, match=f'{path} is of another network'):
        export_weights(str(path), out, small, {})
    state = model.state_dict()
    state['generator.head.bias'][0] = 1e5
    torch.save(dict(state_dict=state), path)
    with pytest.raises(
        InputError, match='weight generator.head.bias that float16 cannot hold'
    ):
        export_weights(str(path), out, CONFIG, {})
    with pytest.raises(InputError, match='shipped.txt does not end in .pth'):
        export_weights(str(path), out.with_suffix('.txt'), CONFIG, {})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_files_that_exist_are_kept(checkpoint, tmp_path):
    path, _ = checkpoint
    (tmp_path / 'shipped.json').write_text('{}')
    with pytest.raises(InputError, match='shipped.json exists; remove it'):
        export_weights(str(path), tmp_path / 'shipped.pth', CONFIG, {})
    assert not (tmp_path / 'shipped.pth').exists()


@pytest.fixture
def main():
    tool = runpy.run_path(str(ROOT / 'tools/export_weights.py'))
    return lambda *arguments: tool['main']([*map(str, arguments)])


def test_tool_writes_remarks_and_tells_the_hash(main, checkpoint, tmp_path, capsys):
    path, _ = checkpoint
    out = tmp_path / 'shipped.pth'
    main(path, out, '--config', CONFIG, '--remark', 'a=b=c', '--remark', 'seed=0')
    card = json.loads((tmp_path / 'shipped.json').read_text())
    assert card['remarks'] == {'a': 'b=c', 'seed': '0'}
    size = out.stat().st_size / 1e6
    assert capsys.readouterr().out == (
        f'{out}: {size:.2f} MB, sha256 {card["sha256"]}\n'
    )


def test_tool_wants_a_key_for_a_remark(main, tmp_path):
    sentence = '^export_weights: --remark seed has no =; give KEY=TEXT$'
    with pytest.raises(SystemExit, match=sentence):
        main('a.pth', tmp_path / 'b.pth', '--config', CONFIG, '--remark', 'seed')
