"""Area by block: instances x area of one, scaled to the node, from the same tables as energy."""

from dataclasses import dataclass

from energy import scaling, sram
from energy.activity import (
    ACTIVATION_BITS,
    DEVICES_PER_WEIGHT,
    check_gates,
    chi_bank_bytes,
    chi_word_bits,
    pipeline_flip_flops,
)
from energy.errors import EnergyError
from energy.scaling import Node
from energy.tables import load_costs
from model.config import Config

__all__ = ["Block", "blocks"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Area of one block of the system."""

    name: str
    unit: str
    area_um2: float
    row: str
    note: str


def blocks(config: Config, node: Node) -> list[Block]:
    """Area of every block that the tables can price, in square micrometres.

    Wiring, clock tree, control outside the estimate of flip-flops and the voltage generators of
    the arrays are not in it. One converter per ``columns_per_adc`` read lines on both sides of an
    array.
    """
    rows, network, update = load_costs(), config.network, config.update
    layers = range(network.n_layers)
    lanes = update.lanes

    def scaled(name: str, count: float) -> float:
        row = rows[name]
        if row.area_um2 is None:
            raise EnergyError(f"Row {name} states no area.")
        return row.area_um2 * count * scaling.row_factors(row, node)[1]

    lines = sum(
        network.n_cols(k) * config.row_tiles(k) + (network.n_rows(k) if k else 0) for k in layers
    )
    converters = -(-lines // config.array.columns_per_adc)
    devices = DEVICES_PER_WEIGHT * sum(network.n_rows(k) * network.n_cols(k) for k in layers)
    bank = chi_bank_bytes(config)
    memory = sram.lookup("cacti7_32nm_hp", "area_um2", bank, chi_word_bits(config))
    checks = lanes * sum(check_gates(config))
    held = sum((2 - (k > 0)) * network.n_rows(k) + network.n_cols(k) for k in layers)
    held_bits = ACTIVATION_BITS * (held + sum(network.n_rows(k) for k in layers))
    return [
        Block(
            name="devices",
            unit="analog",
            area_um2=scaled("cell_yao2020", devices),
            row="cell_yao2020",
            note=f"{devices} devices",
        ),
        Block(
            name="converters",
            unit="analog",
            area_um2=scaled("adc_kull2013", converters),
            row="adc_kull2013",
            note=f"{converters} converters, one per {config.array.columns_per_adc} read line(s)",
        ),
        Block(
            name="chi memory",
            unit="digital",
            area_um2=memory.value * lanes * scaling.row_factors(rows["sram_cacti"], node)[1],
            row="sram_cacti",
            note=f"{lanes} banks of {bank:.0f} bytes, {chi_word_bits(config)} bits a word",
        ),
        Block(
            name="line drivers and buffers",
            unit="digital",
            area_um2=scaled("register_aladdin", held_bits),
            row="register_aladdin",
            note=f"{held_bits} bits held",
        ),
        Block(
            name="pipeline registers",
            unit="digital",
            area_um2=scaled("register_aladdin", pipeline_flip_flops(config)),
            row="register_aladdin",
            note=f"{pipeline_flip_flops(config)} flip-flops, estimated",
        ),
        Block(
            name="adders and shifters",
            unit="digital",
            area_um2=scaled("add_aladdin", lanes * (2 * update.chi_bits + 16))
            + scaled("shift_isaac", lanes * (update.chi_bits + config.error_bits)),
            row="add_aladdin",
            note=f"{lanes} lanes: accumulate, threshold, subtract, round; two shifters",
        ),
        Block(
            name="multipliers",
            unit="digital",
            area_um2=scaled("mult_aladdin", lanes * (8 * 8 + 16 * 8 + 3 * 3)),
            row="mult_aladdin",
            note=f"{lanes} lanes: two products of an error, one of codes",
        ),
        *(
            [
                Block(
                    name="encoders and decoders",
                    unit="digital",
                    area_um2=scaled("add_aladdin", checks),
                    row="add_aladdin",
                    note=f"{lanes} lanes, check bits of chi; five gates an adder bit",
                )
            ]
            if checks
            else []
        ),
    ]
