"""What benchmarks/speed.py prints: all cases, and how far they are ahead."""

from collections.abc import Sequence

from speed_cases import PLAIN


def with_ratios(records: list[dict]) -> list[dict]:
    """Add to cases of one group how far they are ahead of its plain form.

    Args:
        records (list[dict]): With ``form``, and ``seconds`` and ``peak_memory`` where
            the case did not fail.

    Returns:
        list[dict]: With ``times_faster`` and ``times_less_memory`` where both ran.
    """
    plain = next((r for r in records if r['form'] == PLAIN), {})
    if 'seconds' not in plain:
        return records
    rated = []
    for r in records:
        ratios = {}
        if 'seconds' in r:
            ratios['times_faster'] = plain['seconds']['median'] / r['seconds']['median']
            # Of an image of a few pixels, nothing may show.
            if r['peak_memory'] > 0:
                ratios['times_less_memory'] = plain['peak_memory'] / r['peak_memory']
        rated.append({**r, **ratios})
    return rated


def as_markdown(records: Sequence[dict], device: str) -> str:
    """The table of all cases, milliseconds of a GPU and seconds of a CPU."""
    unit, factor = ('ms', 1e3) if device == 'cuda' else ('s', 1)
    lines = [
        f'| case | median ({unit}) | p10–p90 | times faster | peak memory (MB) '
        '| times less |',
        '|---|---|---|---|---|---|',
    ]
    for r in records:
        cells = [f'{r["group"]}: {r["form"]}', *['–'] * 5]
        if 'error' in r:
            cells[1] = f'failed: {r["error"]}'
        elif 'psnr' in r:
            cells[1] = f'PSNR {r["psnr"]:.1f} dB against float32'
        else:
            median, low, high = (
                f'{factor * r["seconds"][key]:.3f}' for key in ('median', 'p10', 'p90')
            )
            memory = f'{r["peak_memory"] / 1e6:.0f}'
            ratios = [
                f'{r[key]:.2f}' if key in r else '–'
                for key in ('times_faster', 'times_less_memory')
            ]
            cells[1:] = [median, f'{low}–{high}', ratios[0], memory, ratios[1]]
        lines.append(f'| {" | ".join(c.replace("|", "/") for c in cells)} |')
    return '\n'.join(lines)
