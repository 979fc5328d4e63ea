"""AXI ports as streams, so that the shared helpers drive, stall and watch them."""

from typing import Any

from amaranth.hdl import Cat, Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import AXIResponse

__all__ = ["AXIFaces", "beat_layout", "beats"]

LITE_CHANNELS = {
    "aw": (In, ("awaddr",)),
    "w": (In, ("wdata", "wstrb")),
    "b": (Out, ("bresp",)),
    "ar": (In, ("araddr",)),
    "r": (Out, ("rdata", "rresp")),
}


def beat_layout(n_bytes: int) -> data.StructLayout:
    """One beat of an AXI4-Stream as a payload."""
    return data.StructLayout({"tdata": data.ArrayLayout(unsigned(8), n_bytes), "tlast": 1})


def beats(frame: Any, *, last: bool = True) -> list[dict[str, Any]]:
    """The rows of a frame as payloads, TLAST on the last one unless told."""
    return [
        {"tdata": [int(byte) for byte in row], "tlast": int(last and k == len(frame) - 1)}
        for k, row in enumerate(frame)
    ]


class AXIFaces(wiring.Component):
    """Wraps a component: AXI ports and streams become stream ports, all else stays on ``dut``.

    A stream port and an AXI4-Stream port keep their names; an AXI4-Lite port becomes the five
    streams ``aw``, ``w``, ``b``, ``ar`` and ``r``.
    """

    def __init__(self, dut: wiring.Component) -> None:
        self.dut = dut
        self._faces: list[tuple[str, Any, dict[str, Any]]] = []
        members: dict[str, wiring.Member] = {}
        for name, member in dut.signature.members.items():
            if not member.is_signature:
                continue
            port = getattr(dut, name)
            if hasattr(port, "payload"):
                members[name] = member
            elif hasattr(port, "tdata"):
                n_bytes = len(port.tdata)
                members[name] = member.flow(stream.Signature(beat_layout(n_bytes)))
                self._faces.append((name, port, {"prefix": "t", "fields": ("tdata", "tlast")}))
            else:
                for channel, (flow, fields) in LITE_CHANNELS.items():
                    layout = data.StructLayout(
                        {
                            field: AXIResponse
                            if field.endswith("resp")
                            else len(getattr(port, field))
                            for field in fields
                        }
                    )
                    members[channel] = flow(stream.Signature(layout))
                    self._faces.append((channel, port, {"prefix": channel, "fields": fields}))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = self.dut
        axi = {name for name, _, _ in self._faces}
        for name in self.signature.members:
            if name not in axi:
                port, face = getattr(self.dut, name), wiring.flipped(getattr(self, name))
                wiring.connect(m, port, face)
        for name, port, face in self._faces:
            outer = getattr(self, name)
            valid = getattr(port, f"{face['prefix']}valid")
            ready = getattr(port, f"{face['prefix']}ready")
            payload = Cat(*(getattr(port, field) for field in face["fields"]))
            if self.signature.members[name].flow is In:
                m.d.comb += [
                    valid.eq(outer.valid),
                    payload.eq(outer.payload),
                    outer.ready.eq(ready),
                ]
            else:
                m.d.comb += [
                    outer.valid.eq(valid),
                    outer.payload.eq(payload),
                    ready.eq(outer.ready),
                ]
        return m
