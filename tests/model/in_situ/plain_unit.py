"""The in-situ learning unit again, as plain as can be: image by image, device by device.

Composes the block functions and an array's single products and pulses; what
:mod:`model.in_situ.unit` does in batches must be equal to this. As a program it compares the two on
networks of one and three layers, meant for NUMBA_DISABLE_JIT=1, where nothing need be compiled.
"""

from dataclasses import replace

import numpy as np

from model.configurations import tiny_in_situ
from model.in_situ import cycles
from model.in_situ.activation_unit import relu
from model.in_situ.activity import Activity
from model.in_situ.arrays import new_arrays
from model.in_situ.config import ArrayConfig, NetworkConfig
from model.in_situ.error_unit import drive_pass, hidden_error, output_error
from model.in_situ.gate_memory import gate_code, gate_step, move_gate, next_rate, rate_mantissa
from model.in_situ.outer_product import word_products
from model.in_situ.softmax import exponential_table, reciprocal_table, softmax
from model.in_situ.unit import COUNT, RATE, new_unit, train_images


class PlainUnit:
    def __init__(self, config, seed, n_updates):
        self.config = config
        self.arrays = new_arrays(config, seed)
        self.layers = range(config.network.n_layers)
        shapes = [(config.network.n_inputs(k), config.network.n_cols(k)) for k in self.layers]
        self.gates = [np.full((2, *shape), config.gate.initial) for shape in shapes]
        self.gradients = [np.zeros(shape, np.int64) for shape in shapes]
        self.rate = config.update.rate_start
        self.decay = config.rate_decay(n_updates)
        self.count = 0
        self.activity = dict.fromkeys(Activity, 0)

    def train(self, image, label):
        """Codes, activations, outputs, errors, backward codes, skipped, cycles, pulses."""
        config, timing, counted = self.config, cycles.timing(self.config), self.activity
        lanes, top = config.update.lanes, len(self.layers) - 1
        activations, codes, errors = [image], [], [None] * len(self.layers)
        backs = [None] * len(self.layers)
        for layer in self.layers:
            codes.append(self.arrays[layer].forward(activations[layer]))
            counted[Activity.DRIVEN_LINES] += np.count_nonzero(activations[layer])
            counted[Activity.DRIVE_SUM] += int(activations[layer].sum(dtype=int))
            counted[Activity.CONVERSIONS] += len(codes[layer])
            if layer < top:
                hidden = [relu(int(code), config.converter.relu_shift) for code in codes[layer]]
                activations.append(np.array(hidden, np.uint8))
                counted[Activity.ACTIVATIONS] += len(hidden)
        outputs = np.empty(len(codes[top]), np.uint8)
        softmax(codes[top], exponential_table(config), reciprocal_table(), outputs)
        errors[top] = np.array(
            [output_error(int(y), k == label) for k, y in enumerate(outputs)], np.int16
        )
        skipped = not errors[top].any()
        spent = [cycles.forward_cycles(timing), cycles.error_cycles(timing), 0, 0, 0]
        counted[Activity.IMAGES] += 1
        counted[Activity.SKIPPED_IMAGES] += skipped
        counted[Activity.FORWARD_PRODUCTS] += len(self.layers)
        counted[Activity.ERRORS] += len(errors[top])
        if not skipped:
            for layer in reversed(self.layers):
                spent[3] += self._accumulate(layer, activations[layer], errors[layer], lanes)
                if layer > 0:
                    passes = [
                        np.array([drive_pass(int(e), k) for e in errors[layer]], np.uint8)
                        for k in range(2)
                    ]
                    backs[layer] = [self.arrays[layer].backward(drive) for drive in passes]
                    errors[layer - 1] = np.array(
                        [
                            hidden_error(int(p), int(n), int(a))
                            for p, n, a in zip(*backs[layer], activations[layer], strict=True)
                        ],
                        np.int16,
                    )
                    spent[2] += cycles.backward_cycles(timing, layer)
                    counted[Activity.BACKWARD_PRODUCTS] += 2
                    counted[Activity.DRIVEN_LINES] += sum(np.count_nonzero(d) for d in passes)
                    counted[Activity.DRIVE_SUM] += sum(int(d.sum(dtype=int)) for d in passes)
                    counted[Activity.CONVERSIONS] += 2 * len(errors[layer - 1])
                    counted[Activity.ERRORS] += len(errors[layer - 1])
        self.count += 1
        pulses = []
        if self.count == config.update.batch:
            pulses, spent[4] = self._write(timing)
            self.count = 0
        for phase, spent_cycles in enumerate(spent):
            counted[Activity.CYCLES_FORWARD + phase] += spent_cycles
        return codes, activations, outputs, errors, backs, skipped, spent, pulses

    def _accumulate(self, layer, activations, errors, lanes):
        words = 0
        for line in np.flatnonzero(activations):
            for first in range(0, len(errors), lanes):
                word = errors[first : first + lanes]
                if word.any():
                    products = np.empty(len(word), np.int32)
                    changed = word_products(int(activations[line]), word, products)
                    self.gradients[layer][line, first : first + lanes] += products
                    self.activity[Activity.GRADIENT_WORDS] += 1
                    self.activity[Activity.GRADIENT_LANES] += changed
                    words += 1
        return cycles.accumulate_cycles(words, 1)

    def _write(self, timing):
        config, gate, pulses = self.config, self.config.gate, []
        mantissa = rate_mantissa(self.rate, config.update.rate_bits)
        spent = cycles.WRITE_LATENCY
        for layer in self.layers:
            n_inputs, n_cols = self.gradients[layer].shape
            for line in range(n_inputs):
                before = len(pulses)
                for device in range(2):
                    reset, set_ = np.zeros(n_cols, np.uint8), np.zeros(n_cols, np.uint8)
                    for col in range(n_cols):
                        gradient = int(self.gradients[layer][line, col])
                        step = gate_step(gradient, mantissa, config.update.shifts[layer])
                        old = int(self.gates[layer][device, line, col])
                        new = move_gate(old, -step if device else step, gate.low, gate.high)
                        self.gates[layer][device, line, col] = new
                        codes = [gate_code(value, gate.fraction_bits) for value in (old, new)]
                        if codes[1] < codes[0]:
                            reset[col] = 255
                        if codes[1] != codes[0]:
                            set_[col] = codes[1]
                    row = device * n_inputs + line
                    for kind, gates in ((1, reset), (0, set_)):
                        if gates.any():
                            self.arrays[layer].program(row, kind, gates)
                            pulses.append((layer, row, kind, gates))
                kinds = [pulse[2] for pulse in pulses[before:]]
                spent += cycles.write_row_cycles(timing, layer, kinds.count(0), kinds.count(1))
            self.gradients[layer][:] = 0
            self.activity[Activity.GATE_WORDS] += n_inputs * config.unit_words(layer)
        for _, _, kind, gates in pulses:
            self.activity[Activity.RESET_PULSES if kind else Activity.SET_PULSES] += 1
            counter = Activity.RESET_DEVICES if kind else Activity.SET_DEVICES
            self.activity[counter] += np.count_nonzero(gates)
        self.activity[Activity.BATCHES] += 1
        self.rate = next_rate(self.rate, self.decay)
        return pulses, spent


def compare(config, n_batches, seed=1, calls=None):
    """Trains both on random images, ``calls`` images a call (whole batches if not given)."""
    rng = np.random.default_rng([seed, 9])
    layers, batch = config.network.layers, config.update.batch
    n = n_batches * batch
    images = (rng.integers(0, 256, (n, layers[0])) * (rng.random((n, layers[0])) < 0.6)).astype(
        np.uint8
    )
    labels = rng.integers(0, layers[-1], n).astype(np.uint8)
    plain = PlainUnit(config, seed, n_batches)
    arrays = new_arrays(config, seed)
    unit = new_unit(config, n_batches)
    states = tuple(array.state for array in arrays)
    trace, done = unit.trace, 0
    n_pulses, n_skipped = 0, 0
    while done < n:
        first = int(unit.registers[COUNT])
        step = min(calls or batch, batch - first)
        train_images(unit, states, images[done : done + step], labels[done : done + step])
        for k in range(first, first + step):
            image, label = images[done + k - first], labels[done + k - first]
            codes, activations, outputs, errors, backs, skipped, spent, pulses = plain.train(
                image, label
            )
            for layer in plain.layers:
                assert (trace.codes[layer][k] == codes[layer]).all()
                assert (trace.activations[layer][k] == activations[layer]).all()
                expected = 0 if errors[layer] is None else errors[layer]
                assert (trace.errors[layer][k] == expected).all()
                expected = 0 if backs[layer] is None else np.array(backs[layer])
                assert (trace.codes_back[layer][k] == expected).all()
            assert (trace.outputs[k] == outputs).all()
            assert trace.skipped[k] == skipped
            assert trace.cycles[k].tolist() == spent
            n_skipped += skipped
        assert trace.n_pulses[0] == len(pulses)
        for k, (layer, row, kind, gates) in enumerate(pulses):
            assert trace.pulses[k].tolist() == [layer, row, kind]
            assert (trace.gates[k, : len(gates)] == gates).all()
            assert not trace.gates[k, len(gates) :].any()
        n_pulses += len(pulses)
        for layer in plain.layers:
            assert (unit.gates[layer] == plain.gates[layer]).all()
            assert (states[layer].conductance == plain.arrays[layer].state.conductance).all()
            if plain.count:
                assert (trace.gradients[layer] == plain.gradients[layer]).all()
        assert unit.registers[COUNT] == plain.count
        assert unit.registers[RATE] == plain.rate
        done += step
    assert {member: int(unit.counters[member]) for member in Activity} == plain.activity
    return n_pulses, n_skipped


if __name__ == "__main__":
    for widths in ((16, 4), (16, 7, 5, 4)):
        network = NetworkConfig(layers=widths)
        update = replace(tiny_in_situ.update, shifts=(8,) * network.n_layers)
        array = ArrayConfig(rows=32, cols=16)
        pulses, _ = compare(
            replace(tiny_in_situ, network=network, update=update, array=array), 4, calls=3
        )
        print(len(widths) - 1, pulses)
