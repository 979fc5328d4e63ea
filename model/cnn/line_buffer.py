"""Line buffer: a feature map in raster order, one pixel a word, to the patches under a kernel."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["patches", "pixels_needed"]


def patches(features: NDArray[np.uint8], kernel: int, stride: int) -> NDArray[np.uint8]:
    """Patches in raster order, by channel: ``out[y, x, c, ky * kernel + kx] = features[y * stride +
    ky, x * stride + kx, c]``.

    ``features``: uint8 ``[height, width, channels]``, at least a kernel high and wide. Returns
    uint8 ``[height_out, width_out, channels, kernel**2]`` with ``height_out = (height - kernel) //
    stride + 1``; pixels beyond the last patch are dropped. No padding.
    """
    windows = np.lib.stride_tricks.sliding_window_view(features, (kernel, kernel), axis=(0, 1))
    chosen = windows[::stride, ::stride]
    return np.ascontiguousarray(chosen).reshape(*chosen.shape[:3], kernel * kernel)


def pixels_needed(rows: int, width: int, kernel: int, stride: int) -> NDArray[np.int64]:
    """Pixels that enter the buffer for each patch of a band of ``rows`` patch rows.

    Returns int64 ``[rows * width_out]``: entry 0 counts up to the last pixel of the first patch,
    the others from the patch before.
    """
    width_out = (width - kernel) // stride + 1
    y, x = np.divmod(np.arange(rows * width_out), width_out)
    last = (y * stride + kernel - 1) * width + x * stride + kernel - 1
    return np.diff(last, prepend=-1)
