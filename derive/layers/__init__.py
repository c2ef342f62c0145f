"""The layers that ship, one definition file each.  Add a file and a line here."""

from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.batch_norm_images import BATCH_NORM_1D, BATCH_NORM_2D, BATCH_NORM_3D
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE
from derive.layers.block import BLOCKS
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.rms_norm import RMS_NORM
from derive.layers.softmax import SOFTMAX

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        BATCH_NORM,
        BATCH_NORM_1D,
        BATCH_NORM_2D,
        BATCH_NORM_3D,
        BATCH_NORM_INFERENCE,
        *BLOCKS,
        LAYER_NORM,
        RMS_NORM,
        SOFTMAX,
    )
}
