"""The two AMBA AXI4 interfaces of the unit's host side, as signatures seen from their source.

Source: Arm IHI 0051A (AXI4-Stream) and IHI 0022E (AXI4-Lite). The optional signals are left out:
streams carry whole beats (no ``tkeep``, ``tstrb``), registers have no access protection (no
``awprot``, ``arprot``).
"""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AXIResponse", "axi4_lite_signature", "axi4_stream_signature"]


class AXIResponse(enum.Enum, shape=unsigned(2)):
    """Outcome of a register access; the two other codes of the standard are never given."""

    #: Done.
    OKAY = 0
    #: Refused: nothing changed, read data is zero.
    SLVERR = 2


def axi4_stream_signature(n_bytes: int) -> wiring.Signature:
    """A stream of beats of ``n_bytes`` bytes in frames.

    A beat is transferred in every cycle in which ``tvalid`` and ``tready`` are high. ``tlast``
    marks the last beat of a frame. Once ``tvalid`` is high, it and its payload stay until the
    transfer.
    """
    return wiring.Signature(
        {
            # Byte 0 is the first of the beat: bits 7..0.
            "tdata": Out(data.ArrayLayout(unsigned(8), n_bytes)),
            "tlast": Out(1),
            "tvalid": Out(1),
            "tready": In(1),
        }
    )


def axi4_lite_signature(addr_width: int) -> wiring.Signature:
    """Register accesses of 32 bits: write address, write data, response, read address, read data.

    Each channel transfers in the cycles in which its ``valid`` and ``ready`` are high. Every write
    (one address and one data word, in any order) gets one response, every read address one data
    word.
    """
    return wiring.Signature(
        {
            "awaddr": Out(addr_width),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            # One bit a byte of wdata: this byte is written.
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(AXIResponse),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(addr_width),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(AXIResponse),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )
