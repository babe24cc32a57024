"""What the recorder counts in a network, and what is then timed alone."""

import torch
from torch import nn

from benchmarks.operations import Recorder, seconds_alone
from benchmarks.stopwatch import Stopwatch

CPU = torch.device("cpu")
FORWARD = 2 * 2 * 8 * 16 * 16 * 3 * 9  # multiplications and additions of 2 images, 8 filters of 3x3x3, 16x16 pixels


def recorded(needs_gradient: bool, layout: torch.memory_format):
    conv = nn.Conv2d(3, 8, 3, padding=1).to(memory_format=layout)
    x = torch.rand(2, 3, 16, 16).to(memory_format=layout).requires_grad_(needs_gradient)
    with Recorder() as recorder:
        for _ in range(2):
            conv(x).sum().backward()
    return recorder.counts


def test_a_convolution_counts_forward_and_once_for_each_gradient():
    for needs_gradient, backward in ((False, FORWARD), (True, 2 * FORWARD)):
        counts = recorded(needs_gradient, torch.contiguous_format)
        assert {op.name: (op.flops, count) for op, count in counts.items()} == {
            "convolution": (FORWARD, 2),
            "convolution_backward": (backward, 2),
        }


def test_what_is_timed_alone_has_the_shapes_layouts_and_types_of_the_network():
    [forward] = [op for op in recorded(False, torch.channels_last) if op.name == "convolution"]
    image, weight, bias = forward.arguments[:3]
    assert (image.shape, weight.shape, bias.shape) == ((2, 3, 16, 16), (8, 3, 3, 3), (8,))
    assert image.tensor().is_contiguous(memory_format=torch.channels_last)
    assert weight.tensor().is_contiguous(memory_format=torch.channels_last)
    result = forward.call()()
    assert result.shape == (2, 8, 16, 16) and result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_gradients_that_nobody_asked_for_are_not_computed_alone_either():
    [backward] = [op for op in recorded(False, torch.contiguous_format) if op.name == "convolution_backward"]
    of_input, of_weight, of_bias = backward.call()()
    assert of_input is None
    assert of_weight.shape == (8, 3, 3, 3) and of_bias.shape == (8,)


def test_each_operation_is_timed():
    operations = list(recorded(True, torch.channels_last))
    times = seconds_alone(operations, 0.0, Stopwatch(CPU))
    assert len(times) == len(operations) == 2 and min(times) > 0


def test_only_the_steps_after_the_first_are_counted_and_only_inside_the_network():
    watch, x = Stopwatch(CPU), torch.rand(4, 4)
    with Recorder(watch) as recorder:
        watch.enter()
        x @ x  # of the first step
        watch.leave()
        watch.step()
        x @ x  # outside
        watch.enter()
        x @ x
        watch.leave()
    assert sum(recorder.counts.values()) == 1
